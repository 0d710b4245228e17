package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// reading needs a topic with messages.
func (s *stage) reading(topic string, requests int) comparison {
	const limit = "100"
	c := comparison{
		name: "/messages?limit=" + limit, peerName: "warm raw fetch",
		ours:  s.asks("/messages?topic="+topic+"&limit="+limit, requests),
		peer:  s.ofPeer("last", "-servers", s.servers, "-topic", topic, "-limit", limit, "-count", strconv.Itoa(requests)),
		goals: []goal{{"p50", "ms", p50, atMost, 1.3}, {"CPU a request", "µs", cpu, atMost, 1.3}},
	}
	if s.fetches != nil {
		c.goals = append(c.goals, goal{"fetches from the broker", "", fetches, noMore, 2})
	}
	return c
}

// asks asks api for a path again and again.
func (s *stage) asks(path string, requests int) entrant {
	return func(ctx context.Context) (sample, error) {
		p, addr, err := s.api(ctx)
		if err != nil {
			return sample{}, err
		}
		got, err := s.asking(ctx, p, "http://"+addr+path, requests)
		return got, errors.Join(err, p.stop())
	}
}

func (s *stage) api(ctx context.Context, environ ...string) (*process, string, error) {
	p, err := s.service(ctx, "api", environ...)
	if err != nil {
		return nil, "", err
	}
	addr, err := p.serving()
	if err == nil {
		err = ready(ctx, addr)
	}
	return p, addr, err
}

// asking asks one question after the other.
func (s *stage) asking(ctx context.Context, p *process, url string, requests int) (sample, error) {
	if _, err := get(ctx, url); err != nil { // connects
		return sample{}, err
	}
	fetched := func() (int64, error) { return 0, nil }
	if s.fetches != nil {
		fetched = s.fetches
	}
	fetchesBefore, err := fetched()
	if err != nil {
		return sample{}, err
	}
	before, err := p.processorTimeSoFar()
	if err != nil {
		return sample{}, err
	}
	var latencies []float64
	for range requests {
		asked := time.Now()
		if _, err := get(ctx, url); err != nil {
			return sample{}, err
		}
		latencies = append(latencies, time.Since(asked).Seconds()*1000)
	}
	after, err := p.processorTimeSoFar()
	if err != nil {
		return sample{}, err
	}
	fetchesAfter, err := fetched()
	return sample{
		P50: quantile(latencies, .5), P99: quantile(latencies, .99), CPU: (after - before).Seconds() * 1e6 / float64(requests),
		Fetches: float64(fetchesAfter-fetchesBefore) / float64(requests),
	}, err
}

// What the dev stack gives a pod.
const (
	podMemory      = 128 // MiB
	podMemoryLimit = "GOMEMLIMIT=64MiB"
	podArenas      = "MALLOC_ARENA_MAX=2"
)

// podEnviron returns the environment of api's.
func podEnviron() []string {
	return []string{podMemoryLimit, podArenas, "READ_CONCURRENCY=2", "READ_BYTES_LIMIT=4194304"}
}

// readingMuch asks for many messages, and of many partitions, within the memory of a pod.
func (s *stage) readingMuch() comparison {
	return comparison{
		name: "/messages?limit=1000, 50 partitions", rounds: 3,
		ours: func(ctx context.Context) (sample, error) {
			topic, drop, err := s.topicOf(ctx, "wide", 50)
			if err != nil {
				return sample{}, err
			}
			defer drop()
			if err := s.fill(ctx, topic, 50, 50_000, 1000); err != nil {
				return sample{}, err
			}
			p, addr, err := s.api(ctx, podEnviron()...)
			if err != nil {
				return sample{}, err
			}
			got, err := s.asking(ctx, p, "http://"+addr+"/messages?limit=1000&topic="+topic, 20)
			if err == nil {
				got.Memory, err = p.status("VmHWM")
			}
			return got, errors.Join(err, p.stop())
		},
		goals: []goal{{"most memory", "MiB", memory, noMore, podMemory}},
	}
}

// readingTogether asks many questions at once. An answer may be that the service is busy.
func (s *stage) readingTogether(topic string, n int) comparison {
	return comparison{
		name: fmt.Sprintf("%d × /messages?limit=1000 at once", n), rounds: 3,
		ours: func(ctx context.Context) (sample, error) {
			p, addr, err := s.api(ctx, podEnviron()...)
			if err != nil {
				return sample{}, err
			}
			url := "http://" + addr + "/messages?limit=1000&topic=" + topic
			latencies, errs := make([]float64, n), make([]error, n)
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					asked := time.Now()
					_, errs[i] = get(ctx, url, http.StatusServiceUnavailable)
					latencies[i] = time.Since(asked).Seconds() * 1000
				})
			}
			wg.Wait()
			got := sample{P99: quantile(latencies, .99)}
			err = errors.Join(errs...)
			if err == nil {
				got.Memory, err = p.status("VmHWM")
			}
			return got, errors.Join(err, p.stop())
		},
		// READ_TIMEOUT is 5 s, and the last response must still be sent.
		goals: []goal{{"most memory", "MiB", memory, noMore, podMemory}, {"p99", "ms", p99, noMore, 6000}},
	}
}

// fill writes records of a size, the same number to each partition.
func (s *stage) fill(ctx context.Context, topic string, partitions, count, size int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(s.servers, ",")...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		return fmt.Errorf("connecting to the brokers: %w", err)
	}
	defer client.Close()
	value := []byte(strings.Repeat("All work and no play. ", size/22+1)[:size])
	var failed kgo.FirstErrPromise
	for i := range count {
		client.Produce(ctx, &kgo.Record{Topic: topic, Partition: int32(i % partitions), Value: value}, failed.Promise())
	}
	if err := client.Flush(ctx); err != nil {
		return fmt.Errorf("filling %s: %w", topic, err)
	}
	if err := failed.Err(); err != nil {
		return fmt.Errorf("filling %s: %w", topic, err)
	}
	return nil
}
