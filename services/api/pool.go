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

// pool limits how many requests read at once, and what all of them ask Kafka at once,
// including what was asked for callers that have left. They share its clients, which stay
// connected.
type pool struct {
	direct   *kgo.Client
	wide     *kgo.Client   // accepts responses with a large batch
	slots    chan struct{} // one for each reader in use
	asked    chan struct{} // one for each small question under way
	ordinary chan struct{} // one for each response to a fetch that is in memory or may come
	large    chan struct{} // one for the response with a large batch
}

// A reader asks all leaders of its topic at once, as far as there is room.
const (
	questionsPerReader = 16
	fetchesPerReader   = 4
)

func newPool(cfg kafkax.Config, size int) (*pool, error) {
	direct, err := cfg.Direct("api", kafkax.AcceptUpTo(kafkax.OrdinaryBatch)...)
	if err != nil {
		return nil, err
	}
	wide, err := cfg.Direct("api", kafkax.AcceptUpTo(kafkax.LargestBatch)...)
	if err != nil {
		direct.Close()
		return nil, err
	}
	return &pool{
		direct: direct, wide: wide, slots: make(chan struct{}, size),
		asked: make(chan struct{}, questionsPerReader*size), ordinary: make(chan struct{}, fetchesPerReader*size), large: make(chan struct{}, 1),
	}, nil
}

// acquire waits for a reader until ctx ends. The caller must release it.
func (p *pool) acquire(ctx context.Context, isolation kafka.IsolationLevel) (*reader, error) {
	select {
	case p.slots <- struct{}{}:
		return &reader{pool: p, isolation: isolation, largest: largestRecord}, nil
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

// Run keeps the clients open until ctx ends.
func (p *pool) Run(ctx context.Context) error {
	<-ctx.Done()
	p.direct.Close()
	p.wide.Close()
	return nil
}

// reader reads for one request. Not safe for concurrent use.
type reader struct {
	pool      *pool
	isolation kafka.IsolationLevel
	largest   int       // limit of a record's size in bytes; larger ones are left out
	log       described // the log found by locate
	missing   []missing // what could not be read
}

var _ fetcher = (*reader)(nil)

// abandoned limits how long a response is awaited after its caller has left.
const abandoned = 10 * time.Second

// ask sends a question with a small answer.
func (r *reader) ask(ctx context.Context, to kmsg.Requestor, question kmsg.Request) (kmsg.Response, error) {
	answer, leave, err := await(ctx, r.pool.asked, to, question)
	if err != nil {
		return nil, err
	}
	leave()
	return answer, nil
}

// askFor sends a fetch to a leader. The response takes memory until leave is called. One
// that is too large for an ordinary response is requested again in turn, as are those that
// are known to be large.
func (r *reader) askFor(ctx context.Context, topic string, leader int32, fetch *kmsg.FetchRequest, large bool) (answer *kmsg.FetchResponse, leave func(), err error) {
	var response kmsg.Response
	if !large {
		response, leave, err = await(ctx, r.pool.ordinary, r.broker(leader), fetch)
	}
	if large || kafkax.TooLarge(err) {
		// This client learns of the brokers from metadata.
		if _, err := r.describeWith(ctx, r.pool.wide, topic); err != nil {
			return nil, nil, err
		}
		response, leave, err = await(ctx, r.pool.large, retried{r.pool.wide.Broker(int(leader))}, fetch)
	}
	if err != nil {
		return nil, nil, err
	}
	return response.(*kmsg.FetchResponse), leave, nil
}

// await sends a question once there is a place for it, which it has until leave is called.
// It isn't cancelled when its caller leaves: that would close a connection on which others
// await responses. It then keeps its place until it is answered.
func await(ctx context.Context, places chan struct{}, to kmsg.Requestor, question kmsg.Request) (response kmsg.Response, leave func(), err error) {
	select {
	case places <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	free := func() { <-places }
	type answer struct {
		kmsg.Response
		error
	}
	answers := make(chan answer) // not buffered: an answer that nobody takes is dropped
	go func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandoned)
		defer cancel()
		response, err := to.Request(bounded, question)
		select {
		case answers <- answer{response, err}:
		case <-ctx.Done():
			free()
		}
	}()
	select {
	case a := <-answers:
		if a.error != nil {
			free()
			return nil, nil, a.error
		}
		return a.Response, free, nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// broker returns the requestor for one broker.
func (r *reader) broker(id int32) kmsg.Requestor { return retried{r.pool.direct.Broker(int(id))} }

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
