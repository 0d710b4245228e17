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
	// retryPause is the time between two checks for a missing topic.
	retryPause = 500 * time.Millisecond
)

// sender is the part of the producer that the generator uses.
type sender interface {
	Enqueue(ctx context.Context, r kafkax.Record, done func(kafkax.Placed, error)) error
}

// generator makes events at a steady pace and sends them.
type generator struct {
	topic     string
	perSecond float64
	count     int64 // 0: endless
	next      func(now time.Time) (kafkax.Record, error)
	reachable func(context.Context) error
	producer  sender
	tally     *tally
	log       *slog.Logger
	// room holds a token for each event without a report.
	room         chan struct{}
	acknowledged prometheus.Counter
	waits        prometheus.Counter
}

func newGenerator(cfg config, m *maker, p *kafkax.Producer, log *slog.Logger, reg prometheus.Registerer) *generator {
	g := &generator{
		topic: cfg.Topic, perSecond: cfg.perSecond(), count: cfg.Count,
		next: m.order, reachable: p.Probe(kafkax.Writes(cfg.Topic)), producer: p,
		tally: &tally{}, log: log,
		room: make(chan struct{}, maxPending),
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
	g.log.Info("sending", "topic", g.topic, "per_second", g.perSecond, "count", g.count)
	s := newSchedule(g.perSecond, time.Now())
	for left := g.count; g.count == 0 || left > 0; {
		due := s.take(time.Now())
		g.tally.skip(s.skipped)
		if g.count > 0 {
			due = min(due, left)
			left -= due
		}
		for range due {
			if err := g.send(ctx); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return nil
			}
		}
		select {
		case <-time.After(s.wait(time.Now())):
		case <-ctx.Done():
			return nil
		}
	}
	g.awaitAnswers(ctx)
	return lifecycle.ErrFinished
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

// send makes one event and queues it once there is room.
func (g *generator) send(ctx context.Context) error {
	made := time.Now()
	record, err := g.next(made)
	if err != nil {
		return err
	}
	record.Topic = g.topic
	select {
	case g.room <- struct{}{}:
	default:
		g.tally.wait()
		g.waits.Inc()
		select {
		case g.room <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
	}
	g.tally.send(made)
	done := func(_ kafkax.Placed, err error) {
		if err != nil {
			g.failed(err)
		} else {
			g.tally.acknowledge(made, time.Now())
			g.acknowledged.Inc()
		}
		<-g.room
	}
	if err := g.producer.Enqueue(ctx, record, done); err != nil {
		g.failed(err)
		<-g.room
	}
	return nil
}

func (g *generator) failed(err error) {
	// During an outage thousands fail for the same reason. The summary and the
	// metrics count them all; the log shows one per second.
	if g.tally.mayComplain(time.Now()) {
		g.log.Warn("events not acknowledged", "topic", g.topic, "error", err)
	}
}

// awaitAnswers fills the room completely, which is possible only once every event
// has its report.
func (g *generator) awaitAnswers(ctx context.Context) {
	for range cap(g.room) {
		select {
		case g.room <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}
