package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/retry"
	"shopstream/services/internal/trace"
)

const (
	// stallAfter is how long a write may take before consumption pauses. After a
	// failed write it pauses at once.
	stallAfter = 500 * time.Millisecond
	// revokeWait is how long a rebalance waits for a write in progress, so that the
	// partition's next owner needn't repeat it.
	revokeWait = time.Second
	// indexTimeout is enough to index a large collection. If the build takes longer,
	// it continues in the server, and the next attempt waits for it.
	indexTimeout = time.Minute
	askRetry     = 500 * time.Millisecond
	// recommitAfter is how soon offsets are committed again though they are unchanged.
	// A coordinator deletes the offsets of a deleted topic some time after it, and
	// with them those that were committed for a topic of the same name since. Until
	// the next purchase the lag would be wrong, and the autoscaler with it.
	recommitAfter = 10 * time.Second
	// readAtOnce is how many records are read before the group is polled again.
	readAtOnce = 100
)

// retries waits between attempts to write to the database.
var retries = retry.Backoff{First: 100 * time.Millisecond, Last: 5 * time.Second}

// recordLimits are far above the size of any purchase. Larger records are set aside,
// so that a small compressed batch can't take much memory.
var recordLimits = kafkax.Limits{Record: 8 << 20, Batch: 256 << 20}

// consumer reads purchases and stores their offsets once they are safe. Its client is
// the member of the group; its reader fetches the assigned partitions. All its state
// belongs to the goroutine of run, which also runs the rebalance callback, inside
// Poll. Only writes have a goroutine of their own, so that polling continues while
// the database is slow or unreachable.
type consumer struct {
	join   func(context.Context) (*kafka.Consumer, error)
	client *kafka.Consumer // once it has joined
	reader *kafkax.Reader
	store  *store
	writer *writer
	traced kafkax.Processing
	log    *slog.Logger

	topic  string
	size   int
	linger time.Duration
	bound  time.Duration // of the shutdown

	filling *batch   // polled, to be written next
	current *writing // being written, or waiting for its next attempt; may be nil
	paused  bool
	failed  error // from the rebalance callback, which can't return it

	owned     map[int32]bool                 // partitions assigned to this member
	unlocated map[int32]bool                 // those of which the committed offset isn't known yet
	unset     map[int32]bool                 // those of which the group had no offset
	unstored  map[int32]kafka.TopicPartition // finished offsets that the client hasn't accepted yet
	behind    map[int32]bool                 // partitions whose next offset may be less than the last committed one
	latest    map[int32]kafka.TopicPartition // what is committed, or will be by the client
	recommit  time.Time                      // when to commit it again
	askAt     time.Time                      // when to ask the group's coordinator again after a failure

	retries prometheus.Counter
}

// writing is a batch that is being written. There is at most one, so offsets are
// stored in order.
type writing struct {
	*batch
	since    time.Time
	result   chan error // nil unless an attempt is running
	attempts int
	retryAt  time.Time
	spans    *kafkax.Spans
}

func newConsumer(cfg config, s *store, w *writer, tracer *trace.Tracer, log *slog.Logger, reg prometheus.Registerer) (*consumer, error) {
	reader, err := kafkax.NewReader(cfg.Kafka, kafkax.ReaderConfig{
		Topic: cfg.Topics.Purchases, Grouped: true, Committed: true, Limits: recordLimits,
	}, "management-api", log, reg)
	if err != nil {
		return nil, err
	}
	return &consumer{
		join: func(ctx context.Context) (*kafka.Consumer, error) {
			return kafkax.NewMember(ctx, cfg.Kafka, kafkax.MemberConfig{
				ClientID: "management-api", GroupID: cfg.GroupID, Group: cfg.Group,
				// The minimum that brokers allow, so that the partitions of a dead member
				// are soon reassigned. A false alarm only costs repeated reads.
				SessionTimeout: 6 * time.Second,
				AutoCommit:     true,
			}, log)
		},
		reader: reader, store: s, writer: w, log: log,
		traced: kafkax.Processing{Tracer: tracer, Topic: cfg.Topics.Purchases, Group: cfg.GroupID, ClientID: "management-api", Verb: "store"},
		topic:  cfg.Topics.Purchases, size: cfg.BatchSize, linger: cfg.BatchLinger, bound: cfg.HTTP.ShutdownTimeout,
		filling: newBatch(),
		owned:   map[int32]bool{}, unlocated: map[int32]bool{}, unset: map[int32]bool{},
		unstored: map[int32]kafka.TopicPartition{}, behind: map[int32]bool{}, latest: map[int32]kafka.TopicPartition{},
		retries: promauto.With(reg).NewCounter(prometheus.CounterOpts{
			Name: "mongo_batch_retries_total",
			Help: "Attempts at a batch that failed for a reason that passes by itself.",
		}),
	}, nil
}

// run consumes until ctx ends, then finishes what it has polled and leaves the group.
// It returns an error only if the process must be restarted.
func (c *consumer) run(ctx context.Context) error {
	defer c.read(ctx)()
	if !c.prepare(ctx) {
		return nil
	}
	var err error
	if c.client, err = c.join(ctx); ctx.Err() != nil {
		return nil
	} else if err != nil {
		return err
	}
	defer func() { kafkax.Leave(c.client, c.bound/3, c.log) }()
	if err := c.client.Subscribe(c.topic, c.rebalance); err != nil {
		return fmt.Errorf("subscribing to %q: %w", c.topic, err)
	}
	// Not ctx: writes continue until they are finished, or given up below.
	writes, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()

	for ctx.Err() == nil {
		if err := c.step(writes); err != nil {
			return err
		}
	}
	return c.drain(writes, cancel)
}

// read starts the reader, which fetches until stop is called.
func (c *consumer) read(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.reader.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// prepare creates the index before the first purchase is stored, however long the
// database is unreachable. It reports false if ctx ended first.
func (c *consumer) prepare(ctx context.Context) (ready bool) {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		bounded, cancel := context.WithTimeout(ctx, indexTimeout)
		err := c.store.createIndex(bounded)
		cancel()
		if err == nil {
			return true
		}
		wait := retries.After(attempt)
		c.log.Warn("database not ready, consumption waits", "error", err, "retry_in", wait)
		retry.Sleep(ctx, wait)
	}
	return false
}

// step does what is due and polls once.
func (c *consumer) step(writes context.Context) error {
	var wait time.Duration
	if c.attempting() && c.full() && !c.paused {
		// The next batch is full: wait for the write for a moment, rather than
		// pause.
		wait = stallAfter - time.Since(c.current.since)
	}
	if err := c.settle(wait); err != nil {
		return err
	}
	c.begin(writes)
	c.pauseOrResume()
	if c.full() && !c.paused {
		return nil
	}
	if c.paused || len(c.owned) == 0 {
		return c.attend(c.patience())
	}
	if err := c.attend(0); err != nil {
		return err
	}
	c.poll(c.patience())
	return nil
}

func (c *consumer) full() bool { return c.filling.full(c.size) }

func (c *consumer) attempting() bool { return c.current != nil && c.current.result != nil }

// begin starts the next attempt to write: of the current batch once its retry is due,
// or else of the filling batch once that is due.
func (c *consumer) begin(writes context.Context) {
	now := time.Now()
	if c.current == nil {
		if c.filling.empty() || c.filling.wait(c.size, c.linger, now) > 0 {
			return
		}
		c.current = &writing{batch: c.filling, since: now, spans: c.traced.Start(writes, c.filling.messages())}
		c.filling = newBatch()
	}
	if c.attempting() || now.Before(c.current.retryAt) {
		return
	}
	result, items, spans := make(chan error, 1), c.current.items, c.current.spans
	c.current.result = result
	go func() {
		err := c.writer.write(spans.Context(writes), items)
		endSpans(spans, items)
		result <- err
	}()
}

// settle takes the result of the running attempt, waiting for it up to wait. If the
// whole batch is safe it stores the offsets; after a failure it schedules the next
// attempt.
func (c *consumer) settle(wait time.Duration) error {
	if !c.attempting() {
		return nil
	}
	var err error
	select {
	case err = <-c.current.result:
	default:
		if wait <= 0 {
			return nil
		}
		select {
		case err = <-c.current.result:
		case <-time.After(wait):
			return nil
		}
	}
	c.current.result = nil
	c.current.retain()
	if err == nil {
		// Only here, after the insert and the acknowledgement of the dead letters,
		// do the offsets advance.
		finished := c.current
		c.current = nil
		finished.spans.End(nil)
		return c.storeOffsets(finished.offsets(c.topic))
	}
	c.current.attempts++
	c.retries.Inc()
	delay := retries.After(c.current.attempts)
	c.current.retryAt = time.Now().Add(delay)
	c.current.spans.Retry(c.current.attempts, err, delay)
	c.log.WarnContext(c.current.spans.Context(context.Background()), "batch not stored yet, trying again", "error", err, "attempt", c.current.attempts, "retry_in", delay, "left", len(c.current.items))
	return nil
}

// pauseOrResume pauses reading while a write stalls or waits for its retry. A paused
// member stays in the group and takes part in rebalances.
func (c *consumer) pauseOrResume() {
	stalled := c.current != nil && (c.current.attempts > 0 || time.Since(c.current.since) > stallAfter)
	if stalled != c.paused {
		c.paused = stalled
		c.log.Info("consumption", "paused", stalled)
	}
}

// patience is how long to poll: no longer than until something is due.
func (c *consumer) patience() time.Duration {
	wait := 100 * time.Millisecond
	switch {
	case c.attempting():
		wait = 10 * time.Millisecond // its result may come any moment
	case c.current != nil:
		wait = min(wait, time.Until(c.current.retryAt))
	case !c.filling.empty():
		wait = min(wait, c.filling.wait(c.size, c.linger, time.Now()))
	}
	return max(wait, time.Millisecond)
}

// poll takes what the reader has read, waiting for it up to wait.
func (c *consumer) poll(wait time.Duration) {
	for range readAtOnce {
		switch e := c.reader.Poll(wait).(type) {
		case *kafka.Message:
			c.filling.add(e, time.Now())
		case *kafkax.Unreadable:
			c.filling.addUnreadable(e, time.Now())
		case *kafkax.LogChange:
			c.failed = errors.Join(c.failed, c.changeLog(e))
		case nil:
			return
		}
		if c.full() || c.failed != nil {
			return
		}
		wait = 0
	}
}

// drain writes what was polled and stores its offsets. After a failed write, or half
// of the shutdown's bound, it gives up: the rest is delivered again to the
// partition's next owner.
func (c *consumer) drain(writes context.Context, cancel func()) error {
	deadline := time.Now().Add(c.bound / 2)
	for time.Now().Before(deadline) {
		if c.current == nil && c.filling.empty() {
			return nil
		}
		if c.current != nil && c.current.attempts > 0 && !c.attempting() {
			break
		}
		c.linger = 0 // nothing more is coming
		c.begin(writes)
		if err := c.settle(time.Until(deadline)); err != nil {
			return err
		}
	}
	cancel()
	left := len(c.filling.items)
	if c.current != nil {
		left += len(c.current.items)
		c.current.spans.End(errors.New("the service stops before the batch is stored"))
	}
	c.log.Warn("stopping with messages that are not stored, they will be delivered again", "count", left)
	return nil
}
