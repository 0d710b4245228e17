package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"shopstream/services/internal/kafkax"
)

const (
	// stallAfter is how long a write may take before consumption pauses. Not
	// at once: pausing throws away what the client has fetched ahead. After a
	// failure it pauses at once.
	stallAfter = 500 * time.Millisecond
	// revokeWait is how long a rebalance waits for a write that is going on,
	// so that the partition's next owner needn't do it again.
	revokeWait = time.Second
	// indexTimeout leaves room to index a large collection; a build that takes
	// longer goes on in the server and is joined by the next attempt.
	indexTimeout = time.Minute
	firstRetry   = 100 * time.Millisecond
	lastRetry    = 5 * time.Second
)

// consumer reads purchases and stores their offsets once they are safe. All
// its state belongs to the goroutine of run; the rebalance callback runs there
// too, inside Poll. Only the write itself has a goroutine of its own, so that
// polling goes on while the database is slow or away.
type consumer struct {
	client *kafka.Consumer
	store  *store
	writer *writer
	lag    *kafkax.Lag
	log    *slog.Logger

	topic  string
	size   int
	linger time.Duration
	bound  time.Duration // of the shutdown

	filling *batch   // polled, waits to be written
	current *writing // being written, or waiting to be tried again; nil when there is none
	paused  bool
	failed  error // from the rebalance callback, which can't return it

	retries prometheus.Counter
}

// writing is a batch on its way. At most one is, so offsets are stored in
// order.
type writing struct {
	*batch
	since    time.Time
	result   chan error // open while an attempt runs, else nil
	attempts int
	retryAt  time.Time
}

func newConsumer(cfg config, s *store, w *writer, log *slog.Logger, reg prometheus.Registerer) (*consumer, error) {
	client, err := kafka.NewConsumer(kafkax.Merge(cfg.Kafka.ClientConfig("management-api"), kafka.ConfigMap{
		"group.id":                      cfg.GroupID,
		"partition.assignment.strategy": "cooperative-sticky",
		"auto.offset.reset":             "earliest",
		// Only offsets that were stored by hand, after the write, are committed.
		"enable.auto.offset.store": false,
		"enable.auto.commit":       true,
		"auto.commit.interval.ms":  1000,
		// The least that brokers allow: the partitions of a member that died
		// go to another soon. A false alarm costs a repeated read only.
		"session.timeout.ms":     6000,
		"heartbeat.interval.ms":  2000,
		"statistics.interval.ms": kafkax.StatisticsInterval,
		// How soon an added partition is read; five minutes otherwise.
		"topic.metadata.refresh.interval.ms": 5000,
		// What is fetched ahead is bounded, so that a backlog doesn't become
		// memory: in number, since a small record takes several times its size.
		"queued.min.messages":        5000,
		"queued.max.messages.kbytes": 16384,
		"max.partition.fetch.bytes":  256 << 10, // a larger record comes all the same, alone
		"fetch.queue.backoff.ms":     20,
	}))
	if err != nil {
		return nil, fmt.Errorf("creating the consumer: %w", err)
	}
	go kafkax.PumpLogs(client.Logs(), log)
	return &consumer{
		client: client, store: s, writer: w, lag: kafkax.NewLag(reg), log: log,
		topic: cfg.Topics.Purchases, size: cfg.BatchSize, linger: cfg.BatchLinger, bound: cfg.HTTP.ShutdownTimeout,
		filling: newBatch(),
		retries: promauto.With(reg).NewCounter(prometheus.CounterOpts{
			Name: "mongo_batch_retries_total",
			Help: "Attempts at a batch that failed for a reason that passes by itself.",
		}),
	}, nil
}

// run consumes until ctx ends, then finishes what it has polled and leaves the
// group. It returns an error only when the process has to start anew.
func (c *consumer) run(ctx context.Context) error {
	defer c.close()
	if ready, err := c.prepare(ctx); !ready {
		return err
	}
	if err := c.client.Subscribe(c.topic, c.rebalance); err != nil {
		return fmt.Errorf("subscribing to %q: %w", c.topic, err)
	}
	// Not ctx: the writes go on until they are finished or given up below.
	writes, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()

	for ctx.Err() == nil {
		if err := c.step(writes); err != nil {
			return err
		}
	}
	return c.drain(writes, cancel)
}

// prepare makes the index before the first purchase is stored, however long
// the database is away. It reports false when ctx ended first.
func (c *consumer) prepare(ctx context.Context) (ready bool, err error) {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		bounded, cancel := context.WithTimeout(ctx, indexTimeout)
		err := c.store.createIndex(bounded)
		cancel()
		if err == nil {
			return true, nil
		}
		wait := backoff(attempt)
		c.log.Warn("database not ready, consumption waits", "error", err, "retry_in", wait)
		// Polled already: the client's statistics and errors must not pile up.
		for end := time.Now().Add(wait); time.Now().Before(end) && ctx.Err() == nil; {
			if err := c.poll(100 * time.Millisecond); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// step takes the work one step further and polls once.
func (c *consumer) step(writes context.Context) error {
	var wait time.Duration
	if c.attempting() && c.full() && !c.paused {
		// Nothing more can be taken: wait for the write rather than pause, as
		// long as it is a matter of moments.
		wait = stallAfter - time.Since(c.current.since)
	}
	if err := c.settle(wait); err != nil {
		return err
	}
	c.begin(writes)
	if err := c.pauseOrResume(); err != nil {
		return err
	}
	if c.full() && !c.paused {
		return nil
	}
	if err := c.poll(c.patience()); err != nil {
		return err
	}
	return c.failed
}

func (c *consumer) full() bool { return len(c.filling.items) >= c.size }

func (c *consumer) attempting() bool { return c.current != nil && c.current.result != nil }

// begin starts the next attempt: of the batch at hand when its time has come,
// else of the one that is filling when it is due.
func (c *consumer) begin(writes context.Context) {
	now := time.Now()
	if c.current == nil {
		if c.filling.empty() || c.filling.wait(c.size, c.linger, now) > 0 {
			return
		}
		c.current = &writing{batch: c.filling, since: now}
		c.filling = newBatch()
	}
	if c.attempting() || now.Before(c.current.retryAt) {
		return
	}
	result, items := make(chan error, 1), c.current.items
	c.current.result = result
	go func() { result <- c.writer.write(writes, items) }()
}

// settle takes the result of the attempt that is going on, waiting for it up
// to wait. Once the whole batch is safe it stores the offsets; after a failure
// it sets the time of the next attempt.
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
		// Here and only here, after the insert and the dead letters'
		// acknowledgement, the offsets move.
		finished := c.current
		c.current = nil
		return c.storeOffsets(finished.offsets(c.topic))
	}
	c.current.attempts++
	c.retries.Inc()
	delay := backoff(c.current.attempts)
	c.current.retryAt = time.Now().Add(delay)
	c.log.Warn("batch not stored yet, trying again", "error", err, "attempt", c.current.attempts, "retry_in", delay, "left", len(c.current.items))
	return nil
}

// storeOffsets hands the offsets to the client, which commits them within a
// second, on a rebalance and on leaving.
func (c *consumer) storeOffsets(offsets []kafka.TopicPartition) error {
	if len(offsets) == 0 {
		return nil // every partition of the batch was revoked
	}
	results, err := c.client.StoreOffsets(offsets)
	for _, p := range results {
		switch code := codeOf(p.Error); {
		case p.Error == nil:
		case code == kafka.ErrState || code == kafka.ErrUnknownPartition:
			// Not this member's any more: its next owner reads the purchases
			// again and finds them stored.
			c.log.Info("partition revoked before its offset was stored", "partition", p.Partition)
			err = nil
		default:
			return fmt.Errorf("storing offset %s of partition %d: %w", p.Offset, p.Partition, p.Error)
		}
	}
	if err != nil {
		return fmt.Errorf("storing offsets: %w", err)
	}
	return nil
}

// pauseOrResume stops the flow while a write stalls or is to be tried again,
// and lets it go on after. A paused member still polls: it stays in the group and
// takes part in rebalances.
func (c *consumer) pauseOrResume() error {
	stalled := c.current != nil && (c.current.attempts > 0 || time.Since(c.current.since) > stallAfter)
	if stalled == c.paused {
		return nil
	}
	owned, err := c.client.Assignment()
	if err != nil {
		return fmt.Errorf("listing the assigned partitions: %w", err)
	}
	if stalled {
		err = c.client.Pause(owned)
	} else {
		err = c.client.Resume(owned)
	}
	if err != nil {
		return fmt.Errorf("pausing or resuming: %w", err)
	}
	c.paused = stalled
	c.log.Info("consumption", "paused", stalled)
	return nil
}

// patience is how long to poll: not past the time when something is due.
func (c *consumer) patience() time.Duration {
	wait := 100 * time.Millisecond
	switch {
	case c.attempting():
		wait = 10 * time.Millisecond // its result is to be taken soon
	case c.current != nil:
		wait = min(wait, time.Until(c.current.retryAt))
	case !c.filling.empty():
		wait = min(wait, c.filling.wait(c.size, c.linger, time.Now()))
	}
	return max(wait, time.Millisecond)
}

func (c *consumer) poll(wait time.Duration) error {
	switch e := c.client.Poll(int(wait.Milliseconds())).(type) {
	case *kafka.Message:
		if err := e.TopicPartition.Error; err != nil {
			c.log.Warn("reading a partition", "error", err, "partition", e.TopicPartition.Partition)
			return nil
		}
		c.filling.add(e, time.Now())
	case *kafka.Stats:
		c.lag.Observe(e.String())
	case kafka.OffsetsCommitted:
		if e.Error != nil && codeOf(e.Error) != kafka.ErrNoOffset {
			// Not lost: the next commit says the same or more.
			c.log.Warn("committing offsets", "error", e.Error)
		}
	case kafka.Error:
		kafkax.LogError(c.log, e)
		if e.IsFatal() {
			return fmt.Errorf("consumer cannot go on: %w", e)
		}
	}
	return nil
}

// rebalance keeps the batches to what this member owns.
func (c *consumer) rebalance(client *kafka.Consumer, event kafka.Event) error {
	switch e := event.(type) {
	case kafka.AssignedPartitions:
		if len(e.Partitions) > 0 {
			c.log.Info("partitions assigned", "partitions", numbers(e.Partitions))
		}
		if !c.paused {
			return nil // the client assigns them itself
		}
		err := client.IncrementalAssign(e.Partitions)
		if err == nil {
			err = client.Pause(e.Partitions)
		}
		c.failed = errors.Join(c.failed, err)
	case kafka.RevokedPartitions:
		c.log.Info("partitions revoked", "partitions", numbers(e.Partitions), "lost", client.AssignmentLost())
		if !client.AssignmentLost() {
			// What is stored now is committed with the revocation.
			c.failed = errors.Join(c.failed, c.settle(revokeWait))
		}
		c.filling.drop(e.Partitions)
		if c.current != nil {
			c.current.drop(e.Partitions)
		}
		if c.paused {
			// The client remembers the pause of a partition that it gives up: it
			// would still be paused if it came back after the others resumed.
			c.failed = errors.Join(c.failed, client.Resume(e.Partitions))
		}
	}
	return nil
}

// drain writes what was polled and stores its offsets. Once a write has failed
// or half of the shutdown's bound is over it gives up: what is left is
// delivered again, to whoever owns the partition then.
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
	}
	c.log.Warn("stopping with messages that are not stored, they will be delivered again", "count", left)
	return nil
}

// close leaves the group; the client commits the stored offsets before. It
// doesn't wait for brokers that are away: they notice by themselves.
func (c *consumer) close() {
	closed := make(chan error, 1)
	go func() { closed <- c.client.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			c.log.Warn("closing the consumer", "error", err)
		}
	case <-time.After(c.bound / 3):
		c.log.Warn("the group was not left in time")
	}
}

// backoff grows from firstRetry to lastRetry. It is spread, so that members
// don't come back all at once.
func backoff(attempt int) time.Duration {
	delay := min(lastRetry, firstRetry<<min(attempt-1, 10))
	return delay/2 + rand.N(delay/2)
}

func codeOf(err error) kafka.ErrorCode {
	var e kafka.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return kafka.ErrNoError
}

func numbers(partitions []kafka.TopicPartition) []int32 {
	list := make([]int32, 0, len(partitions))
	for _, p := range partitions {
		list = append(list, p.Partition)
	}
	return list
}
