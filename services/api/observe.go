package main

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// observation is what is known of the platform at one time. A part that could not be read
// is nil, and its error says why.
type observation struct {
	at         time.Time
	kafka      *compared[kafkaState]
	kafkaErr   error
	metrics    *compared[scrape]
	metricsErr error
}

// compared is a reading and an earlier one.
type compared[T any] struct {
	now, earlier T
	at           time.Time
	seconds      float64 // between them; 0 if there is no earlier one
}

// kafkaState is what the brokers say.
type kafkaState struct {
	topics  map[string]topic
	groups  map[string]group
	brokers brokerList
}

const (
	// Several people who look at once share an observation.
	observeEvery = time.Second
	observeLimit = 4 * time.Second
)

// observer reads only while somebody looks, and keeps the readings that rates need.
type observer struct {
	readKafka  func(context.Context) (kafkaState, error)
	metricsURL string // "" if there are none
	client     *http.Client

	mu      sync.Mutex
	last    observation
	kafka   history[kafkaState]
	metrics history[scrape]
}

// observe returns an observation that is at most a second old.
func (o *observer) observe(ctx context.Context) observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	if time.Since(o.last.at) < observeEvery {
		return o.last
	}
	// Others wait for it too: it doesn't end with the request that began it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), observeLimit)
	defer cancel()

	next := observation{}
	var metrics sample[scrape]
	var wg sync.WaitGroup
	if o.metricsURL != "" {
		wg.Go(func() { metrics, next.metricsErr = fetchMetrics(ctx, o.client, o.metricsURL) })
	}
	kafka, err := o.readKafka(ctx)
	read := time.Now()
	wg.Wait()
	if next.kafkaErr = err; err == nil {
		next.kafka = compare(&o.kafka, sample[kafkaState]{read, kafka})
	}
	if o.metricsURL != "" && next.metricsErr == nil {
		next.metrics = compare(&o.metrics, metrics)
	}
	next.at = time.Now()
	o.last = next
	return next
}

func compare[T any](h *history[T], now sample[T]) *compared[T] {
	result := &compared[T]{now: now.value, at: now.at}
	if earlier, ok := h.add(now); ok {
		result.earlier, result.seconds = earlier.value, now.at.Sub(earlier.at).Seconds()
	}
	return result
}

// readKafka asks the brokers for topics, groups and themselves.
func (s *server) readKafka(ctx context.Context) (state kafkaState, err error) {
	state = kafkaState{topics: map[string]topic{}, groups: map[string]group{}}
	err = s.listing(ctx, func(ctx context.Context) error {
		topics, err := s.listTopics(ctx)
		if err != nil {
			return err
		}
		for _, t := range topics {
			state.topics[t.Name] = t
		}
		groups, err := s.cluster.groups(ctx)
		if err != nil {
			return err
		}
		for _, g := range groups {
			state.groups[g.Group] = g
		}
		state.brokers, err = s.cluster.brokers(ctx)
		return err
	})
	return state, err
}
