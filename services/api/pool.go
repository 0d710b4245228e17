package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/kafkax"
)

// errSaturated is returned to a request that got no reader in time.
var errSaturated = errors.New("all readers are busy")

// pool keeps readers connected between requests. At most its size exist; they
// are made when first needed.
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
	r.missing = nil
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

// reader is one pooled pair of clients: one asks about logs, the other takes
// their batches. Not safe for concurrent use.
type reader struct {
	client
	direct    *kgo.Client
	isolation kafka.IsolationLevel
	log       *slog.Logger
	largest   int       // bytes of a record; a larger one is left out
	missing   []missing // what could not be read since the reader was acquired
	failed    bool
}

var _ fetcher = (*reader)(nil)

// largestRecord is for readers whose caller sets no bound.
const largestRecord = 8 << 20

func newReader(cfg kafkax.Config, isolation kafka.IsolationLevel, log *slog.Logger) (*reader, error) {
	direct, err := cfg.Direct("api")
	if err != nil {
		return nil, err
	}
	asking, err := newClient(cfg, log)
	if err != nil {
		direct.Close()
		return nil, err
	}
	return &reader{client: asking, direct: direct, isolation: isolation, log: log, largest: largestRecord}, nil
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

// disconnect closes the clients.
func (r *reader) disconnect() {
	r.direct.Close()
	if err := r.Close(); err != nil {
		r.log.Warn("closing a consumer failed", "error", err)
	}
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
