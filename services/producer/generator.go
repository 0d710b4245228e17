package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/lifecycle"
	"shopstream/services/internal/retry"
)

const (
	// maxPending bounds the events that wait for their acknowledgement, and thereby
	// the memory. When it is reached, the generator waits.
	maxPending = 20_000
	// ackTimeout is long, so that demo orders survive an outage.
	ackTimeout = 2 * time.Minute
	// together is how many events are made and sent at once, if that many are due, so that
	// those who make, send and receive reports seldom wait for each other.
	together = 100
	// retryPause is the time between two checks for a missing topic.
	retryPause = 500 * time.Millisecond
)

// sender is the part of the producer that the generator uses.
type sender interface {
	Enqueue(ctx context.Context, r kafkax.Record, done func(kafkax.Placed, error)) error
}

// made is an event that is ready to be sent.
type made struct {
	record kafkax.Record
	at     time.Time // latencies count from here, so that a wait for room is part of them
}

// generator makes events at a steady pace and sends them.
type generator struct {
	topic        string
	perSecond    float64
	count        int64 // 0: endless
	next         func(now time.Time) (kafkax.Record, error)
	reachable    func(context.Context) error
	producer     sender
	tally        *tally
	log          *slog.Logger
	acknowledged prometheus.Counter
	waits        prometheus.Counter
}

func newGenerator(cfg config, m *maker, p *kafkax.Producer, log *slog.Logger, reg prometheus.Registerer) *generator {
	g := &generator{
		topic: cfg.Topic, perSecond: cfg.perSecond(), count: cfg.Count,
		next: m.order, reachable: p.Probe(kafkax.Writes(cfg.Topic)), producer: p,
		tally: newTally(maxPending), log: log,
		acknowledged: promauto.With(reg).NewCounter(prometheus.CounterOpts{
			Name: "producer_messages_total",
			Help: "Events that Kafka has acknowledged.",
		}),
		waits: promauto.With(reg).NewCounter(prometheus.CounterOpts{
			Name: "producer_backpressure_total",
			Help: "Times that the generator waited because too many events were not acknowledged yet.",
		}),
	}
	if cfg.makesPurchases() {
		g.next = m.purchase
	}
	return g
}

// run sends until the count is reached and every event has its report (then it returns
// lifecycle.ErrFinished), or until ctx ends.
func (g *generator) run(ctx context.Context) error {
	if !g.awaitTopic(ctx) {
		return nil
	}
	defer context.AfterFunc(ctx, g.tally.wake)()
	g.log.Info("sending", "topic", g.topic, "per_second", g.perSecond, "count", g.count)
	batches := make(chan []made, 2)
	var fault error
	go func() {
		defer close(batches)
		fault = g.makeEvents(ctx, batches)
	}()
	for events := range batches {
		if !g.send(ctx, events) {
			return nil
		}
	}
	if fault != nil || ctx.Err() != nil {
		return fault
	}
	g.tally.await(ctx)
	return lifecycle.ErrFinished
}

// makeEvents makes events when they are due, until the count is reached or ctx ends. It runs
// beside send: making an event takes as long as sending it.
func (g *generator) makeEvents(ctx context.Context, batches chan<- []made) error {
	s := newSchedule(g.perSecond, time.Now())
	for left := g.count; g.count == 0 || left > 0; {
		due := s.take(time.Now())
		g.tally.skip(s.skipped)
		if g.count > 0 {
			due = min(due, left)
			left -= due
		}
		for due > 0 {
			events := make([]made, min(due, together))
			due -= int64(len(events))
			for i := range events {
				now := time.Now()
				record, err := g.next(now)
				if err != nil {
					return err
				}
				record.Topic = g.topic
				events[i] = made{record, now}
			}
			select {
			case batches <- events:
			case <-ctx.Done():
				return nil
			}
		}
		if pause := s.wait(time.Now()); pause > 0 && !retry.Sleep(ctx, pause) {
			return nil
		}
	}
	return nil
}

// awaitTopic waits until the topic exists, and logs that it waits. The schedule of
// events starts afterwards, so that none is lost if the brokers start later.
func (g *generator) awaitTopic(ctx context.Context) bool {
	for told := false; ; told = true {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := g.reachable(try)
		cancel()
		if ctx.Err() != nil {
			return false
		}
		if err == nil {
			return true
		}
		if !told {
			g.log.Warn("waiting for kafka", "topic", g.topic, "error", err)
		}
		if !retry.Sleep(ctx, retryPause) {
			return false
		}
	}
}

// send queues events as there is room for them. It returns false if ctx has ended.
func (g *generator) send(ctx context.Context, events []made) bool {
	for len(events) > 0 {
		n, waited := g.tally.enter(ctx, int64(len(events)), events[0].at)
		if waited {
			g.waits.Inc()
		}
		if n == 0 {
			return false
		}
		for _, e := range events[:n] {
			done := func(placed kafkax.Placed, err error) { g.answered(e.at, placed.At, err) }
			if err := g.producer.Enqueue(ctx, e.record, done); err != nil {
				g.answered(e.at, time.Time{}, err)
			}
		}
		events = events[n:]
	}
	return true
}

// answered is told what has become of an event.
func (g *generator) answered(made, at time.Time, err error) {
	if err != nil {
		g.tally.fail()
		g.failed(err)
		return
	}
	g.tally.acknowledge(made, at)
	g.acknowledged.Inc()
}

func (g *generator) failed(err error) {
	// During an outage thousands fail for the same reason. The summary and the
	// metrics count them all; the log shows one per second.
	if g.tally.mayComplain(time.Now()) {
		g.log.Warn("events not acknowledged", "topic", g.topic, "error", err)
	}
}
