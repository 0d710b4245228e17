package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/kafkax"
)

// errSaturated is returned to a request that got no reader in time.
var errSaturated = errors.New("all readers are busy")

// pool keeps consumers connected between requests. At most its size exist;
// they are made when first needed. An idle one has no assignment, or it would
// stream a topic into memory.
type pool struct {
	create func(kafka.IsolationLevel) (*reader, error)
	log    *slog.Logger
	slots  chan struct{} // one for every reader in use

	mu     sync.Mutex
	idle   []*reader // the last used last: it is the warmest
	size   int
	closed bool
	closes sync.WaitGroup // closing a consumer takes a while
}

func newPool(cfg kafkax.Config, size int, log *slog.Logger) *pool {
	return &pool{
		create: func(isolation kafka.IsolationLevel) (*reader, error) { return newReader(cfg, isolation, log) },
		log:    log,
		slots:  make(chan struct{}, size),
		size:   size,
	}
}

// acquire waits for a reader until ctx ends. The caller must release it.
func (p *pool) acquire(ctx context.Context, isolation kafka.IsolationLevel) (*reader, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err()
		}
		return nil, errSaturated
	}
	for {
		r := p.takeIdle(isolation)
		if r == nil {
			break
		}
		if r.drain() {
			return r, nil
		}
		p.dispose(r)
	}
	r, err := p.create(isolation)
	if err != nil {
		<-p.slots
		return nil, err
	}
	return r, nil
}

// takeIdle returns an idle reader of that isolation level, or nil when one has
// to be made, for which it makes room.
func (p *pool) takeIdle(isolation kafka.IsolationLevel) *reader {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.idle) - 1; i >= 0; i-- {
		if r := p.idle[i]; r.isolation == isolation {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			return r
		}
	}
	// The slots in use, ours among them, and the idle readers are all there is.
	if n := len(p.idle); n > 0 && len(p.slots)+n > p.size {
		p.disposeLocked(p.idle[0])
		p.idle = p.idle[1:]
	}
	return nil
}

// release takes a reader back. One that failed is replaced by a new one when
// next needed: its state is not known.
func (p *pool) release(r *reader) {
	p.mu.Lock()
	if r.failed || p.closed {
		p.disposeLocked(r)
	} else {
		p.idle = append(p.idle, r)
	}
	p.mu.Unlock()
	<-p.slots
}

func (p *pool) dispose(r *reader) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disposeLocked(r)
}

func (p *pool) disposeLocked(r *reader) { p.closes.Go(r.disconnect) }

// Run connects a first reader, so that the first request finds it warm, and
// takes the events of the idle ones, which would pile up while Kafka is away.
func (p *pool) Run(ctx context.Context) error {
	if r, err := p.acquire(ctx, kafka.IsolationLevelReadCommitted); err == nil {
		p.release(r)
	}
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			p.close()
			return nil
		case <-tick.C:
			p.sweep()
		}
	}
}

// sweep replaces nothing: it drops the idle readers that saw an error.
func (p *pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.idle[:0]
	for _, r := range p.idle {
		if r.drain() {
			kept = append(kept, r)
		} else {
			p.disposeLocked(r)
		}
	}
	p.idle = kept
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	for _, r := range p.idle {
		p.disposeLocked(r)
	}
	p.idle = nil
	p.mu.Unlock()
	p.closes.Wait()
}

// reader is one pooled consumer. Not safe for concurrent use.
type reader struct {
	client
	isolation kafka.IsolationLevel
	log       *slog.Logger
	settled   bool // see settle
	failed    bool
}

var _ fetcher = (*reader)(nil)

func newReader(cfg kafkax.Config, isolation kafka.IsolationLevel, log *slog.Logger) (*reader, error) {
	consumer, err := newConsumer(cfg, isolation, log, kafka.ConfigMap{
		// A window ends within what is in the log, so a fetch seldom has to
		// wait. But the client fetches ahead, and the fetch that is under way
		// when a request ends keeps the next one's waiting.
		"fetch.wait.max.ms": 1,
		// Bounds on what a reader holds beyond the records it has returned; in
		// number too, since a small record takes several times its size.
		"fetch.max.bytes":            8 << 20,
		"queued.min.messages":        2000,
		"queued.max.messages.kbytes": 16 << 10,
		// The defaults of half a second and more are for consumers that stay.
		"fetch.queue.backoff.ms": 10,
		"fetch.error.backoff.ms": 50,
	})
	if err != nil {
		return nil, err
	}
	return &reader{client: consumer, isolation: isolation, log: log, settled: true}, nil
}

// drain takes what an idle reader has to say. It reports false when that was
// an error: a new reader connects at once, this one when its back-off is over.
func (r *reader) drain() bool {
	for {
		switch e := r.Poll(0).(type) {
		case nil:
			return true
		case kafka.Error:
			kafkax.LogError(r.log, e)
			return false
		}
	}
}

// fetch implements fetcher.
func (r *reader) fetch(ctx context.Context, topic string, windows []window, each func(record) error) error {
	if err := r.settle(ctx); err != nil {
		return err
	}
	open := make(map[int32]window, len(windows))
	assignment := make([]kafka.TopicPartition, len(windows))
	for i, w := range windows {
		open[w.partition] = w
		assignment[i] = kafka.TopicPartition{Topic: &topic, Partition: w.partition, Offset: kafka.Offset(w.start)}
	}
	// An assignment replaces the one before and drops what was fetched for it.
	r.settled = false
	if err := r.Assign(assignment); err != nil {
		r.failed = true
		return fmt.Errorf("assigning %s: %w", topic, err)
	}
	for len(open) > 0 {
		event := r.poll()
		if event == nil && ctx.Err() != nil {
			return ctx.Err()
		}
		switch e := event.(type) {
		case *kafka.Message:
			if e.TopicPartition.Error != nil {
				return r.fail(topic, e.TopicPartition.Error)
			}
			w, ok := open[e.TopicPartition.Partition]
			offset := int64(e.TopicPartition.Offset)
			if !ok || offset < w.start {
				continue
			}
			// The captured end, whatever is written meanwhile.
			if offset >= w.end-1 {
				delete(open, w.partition)
			}
			if offset < w.end {
				if err := each(newRecord(e)); err != nil {
					return err
				}
			}
		case kafka.PartitionEOF:
			// Markers, aborted records or compaction left nothing up to the end.
			delete(open, e.Partition)
		case kafka.Error:
			if e.IsFatal() || ends(e) {
				return r.fail(topic, e)
			}
		}
	}
	return nil
}

// poll waits a moment for the next event.
func (r *reader) poll() kafka.Event {
	event := r.Poll(10)
	switch e := event.(type) {
	case *kafka.Message, kafka.PartitionEOF:
		r.settled = true
	case kafka.Error:
		kafkax.LogError(r.log, e)
	}
	return event
}

// settle waits until the assignment has taken effect. librdkafka (2.11) stops
// the fetchers of the assignment before in the background, and aborts the
// process when the assignment changes once more meanwhile. The first event of
// an assignment proves that they have stopped: none starts before.
func (r *reader) settle(ctx context.Context) error {
	for !r.settled {
		if r.poll() == nil && ctx.Err() != nil {
			r.failed = true
			return ctx.Err()
		}
	}
	return nil
}

// rest ends reading: without an assignment nothing is fetched.
func (r *reader) rest() {
	if r.failed {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := r.settle(ctx); err != nil {
		return // it goes with its assignment
	}
	if err := r.Unassign(); err != nil {
		r.failed = true
	}
}

// disconnect closes the client. One whose assignment has not settled gets the
// time for it: what is to stop does so by itself, with Kafka or without.
func (r *reader) disconnect() {
	if !r.settled {
		time.Sleep(settleTime)
	}
	if err := r.Close(); err != nil {
		r.log.Warn("closing a consumer failed", "error", err)
	}
}

// settleTime is twice the longest time that a thread of librdkafka sleeps.
const settleTime = 2 * time.Second

func (r *reader) fail(topic string, err error) error {
	r.failed = true
	return fmt.Errorf("reading %s: %w", topic, classify(err))
}

// ends reports whether waiting for the client to recover is of no use to a
// request.
func ends(err kafka.Error) bool {
	switch err.Code() {
	case kafka.ErrAllBrokersDown, kafka.ErrAuthentication, kafka.ErrSaslAuthenticationFailed,
		kafka.ErrUnknownTopicOrPart, kafka.ErrUnknownTopic, kafka.ErrUnknownPartition, kafka.ErrTopicException, kafka.ErrUnknownTopicID,
		kafka.ErrTopicAuthorizationFailed, kafka.ErrGroupAuthorizationFailed, kafka.ErrClusterAuthorizationFailed:
		return true
	}
	return false
}

func newRecord(m *kafka.Message) record {
	r := record{
		partition:  m.TopicPartition.Partition,
		offset:     int64(m.TopicPartition.Offset),
		timestamp:  -1,
		appendTime: m.TimestampType == kafka.TimestampLogAppendTime,
		key:        m.Key,
		value:      m.Value,
		headers:    m.Headers,
	}
	if m.TimestampType != kafka.TimestampNotAvailable {
		r.timestamp = m.Timestamp.UnixMilli()
	}
	return r
}
