package main

import (
	"context"
	"errors"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/kafkax"
)

// errSaturated is returned if a request got no reader in time.
var errSaturated = errors.New("all readers are busy")

// pool bounds how many requests read at once. They share one client, which
// stays connected between them.
type pool struct {
	direct *kgo.Client
	slots  chan struct{} // one for each reader in use
}

func newPool(cfg kafkax.Config, size int) (*pool, error) {
	direct, err := cfg.Direct("api")
	if err != nil {
		return nil, err
	}
	return &pool{direct: direct, slots: make(chan struct{}, size)}, nil
}

// acquire waits for a reader until ctx ends. The caller must release it.
func (p *pool) acquire(ctx context.Context, isolation kafka.IsolationLevel) (*reader, error) {
	select {
	case p.slots <- struct{}{}:
		return &reader{direct: p.direct, isolation: isolation, largest: largestRecord}, nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err()
		}
		return nil, errSaturated
	}
}

func (p *pool) release(*reader) { <-p.slots }

// Run keeps the client until ctx ends.
func (p *pool) Run(ctx context.Context) error {
	<-ctx.Done()
	p.direct.Close()
	return nil
}

// reader reads for one request. Not safe for concurrent use.
type reader struct {
	direct    *kgo.Client
	isolation kafka.IsolationLevel
	largest   int       // bytes of a record; a larger one is left out
	log       described // that was located
	missing   []missing // what could not be read
}

var _ fetcher = (*reader)(nil)

// abandoned bounds how long an answer is awaited whose caller has left.
const abandoned = 10 * time.Second

// ask puts one question. A caller who leaves doesn't cancel it: that would
// close a connection on which others wait for their answers.
func (r *reader) ask(ctx context.Context, to kmsg.Requestor, question kmsg.Request) (kmsg.Response, error) {
	type answer struct {
		kmsg.Response
		error
	}
	answers := make(chan answer, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandoned)
		defer cancel()
		response, err := to.Request(ctx, question)
		answers <- answer{response, err}
	}()
	select {
	case a := <-answers:
		return a.Response, a.error
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// broker is where to ask what one broker knows.
func (r *reader) broker(id int32) kmsg.Requestor { return retried{r.direct.Broker(int(id))} }

// retried asks again where a connection breaks.
type retried struct{ *kgo.Broker }

func (b retried) Request(ctx context.Context, question kmsg.Request) (kmsg.Response, error) {
	return b.RetriableRequest(ctx, question)
}

// largestRecord is for readers whose caller sets no bound.
const largestRecord = 8 << 20

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
