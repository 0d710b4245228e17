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

// errSaturated is returned if no reader was free in time.
var errSaturated = errors.New("all readers are busy")

// pool limits how many requests read at once. They share one client, which stays
// connected.
type pool struct {
	direct *kgo.Client
	slots  chan struct{} // one for each reader in use
}

func newPool(cfg kafkax.Config, size int) (*pool, error) {
	direct, err := cfg.Direct("api", kafkax.AcceptUpTo(kafkax.LargestBatch)...)
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
		return nil, saturated(ctx)
	}
}

// saturated returns why a request that has waited is given up: its client has
// disconnected, or all are busy.
func saturated(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return errSaturated
}

func (p *pool) release(*reader) { <-p.slots }

// Run keeps the client open until ctx ends.
func (p *pool) Run(ctx context.Context) error {
	<-ctx.Done()
	p.direct.Close()
	return nil
}

// reader reads for one request. Not safe for concurrent use.
type reader struct {
	direct    *kgo.Client
	isolation kafka.IsolationLevel
	largest   int       // limit of a record's size in bytes; larger ones are left out
	log       described // the log found by locate
	missing   []missing // what could not be read
}

var _ fetcher = (*reader)(nil)

// abandoned limits how long a response is awaited after its caller has left.
const abandoned = 10 * time.Second

// ask sends one request. It isn't cancelled when the caller leaves: that would close
// a connection on which others await responses.
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

// broker returns the requestor for one broker.
func (r *reader) broker(id int32) kmsg.Requestor { return retried{r.direct.Broker(int(id))} }

// retried sends a request again after a broken connection.
type retried struct{ *kgo.Broker }

func (b retried) Request(ctx context.Context, question kmsg.Request) (kmsg.Response, error) {
	return b.RetriableRequest(ctx, question)
}

// largestRecord is the default for readers whose caller sets no limit.
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
