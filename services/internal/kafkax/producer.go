package kafkax

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"shopstream/services/internal/trace"
)

// ErrUnavailable is wrapped by transient produce errors: the brokers are unreachable
// or slow, too few replicas are in sync, or the queue is full. The record was not
// acknowledged, but may be in the log all the same.
var ErrUnavailable = errors.New("kafka unavailable")

// Record is what a producer sends.
type Record struct {
	Topic     string
	Key       []byte
	Value     []byte
	Headers   []kafka.Header
	Timestamp time.Time // zero: now
}

// Placed is the position of an acknowledged record.
type Placed struct {
	Topic     string
	Partition int32
	Offset    int64
	At        time.Time // of the acknowledgement
}

// ProducerConfig sets how long records may wait for their acknowledgement, and how
// many may wait at once.
type ProducerConfig struct {
	// Topics are those that it writes to. Their error counters exist from the
	// start: for a counter that first appears with an error, increase() would
	// return 0.
	Topics []string
	// AckTimeout bounds the time from Send to acknowledgement or error.
	AckTimeout time.Duration
	// MaxPending bounds the records in the queue. If it is full, Send returns
	// ErrUnavailable at once.
	MaxPending int
	// Linger is how long a batch waits for more records. With zero it is sent at
	// once; under load records are still batched, while requests are in flight.
	Linger time.Duration
	// MaxRecordBytes is the largest record that the client sends; the broker has
	// a limit of its own. Zero stands for the client's default of 1,000,000.
	MaxRecordBytes int
	// Tracer records a span for each record of a sampled trace, and writes its context
	// into the record's headers. May be nil.
	Tracer *trace.Tracer
	// BeginsTraces says that records are not caused by something that may be traced.
	BeginsTraces bool
}

// Producer sends records and reports, for each, whether Kafka has acknowledged
// it. Safe for concurrent use. Run must be running for Send to return.
type Producer struct {
	client   *kafka.Producer
	config   Config
	clientID string
	tracer   *trace.Tracer
	begins   bool
	// ackTimeout is ProducerConfig's.
	ackTimeout time.Duration
	log        *slog.Logger
	duration   *prometheus.HistogramVec
	failures   *prometheus.CounterVec
}

// NewProducer returns an idempotent producer that waits for all in-sync replicas.
// An acknowledged record survives the loss of a broker, and is in the log once
// however often the client had to retry.
func NewProducer(cfg Config, pc ProducerConfig, clientID string, log *slog.Logger, reg prometheus.Registerer) (*Producer, error) {
	client, err := newProducer(cfg, clientID, pc.settings(), log)
	if err != nil {
		return nil, err
	}
	p := &Producer{
		client:     client,
		config:     cfg,
		clientID:   clientID,
		tracer:     pc.Tracer,
		begins:     pc.BeginsTraces,
		ackTimeout: pc.AckTimeout,
		log:        log,
		duration: promauto.With(reg).NewHistogramVec(prometheus.HistogramOpts{
			Name:    "kafka_produce_duration_seconds",
			Help:    "Time from handing a record to the client to its acknowledgement.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"topic"}),
		failures: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
			Name: "kafka_produce_errors_total",
			Help: "Records that were not acknowledged.",
		}, []string{"topic", "reason"}),
	}
	for _, topic := range pc.Topics {
		for _, reason := range produceErrors {
			p.failures.WithLabelValues(topic, reason)
		}
	}
	return p, nil
}

// Reasons of kafka_produce_errors_total.
const (
	reasonRejected          = "rejected"
	reasonQueueFull         = "queue_full"
	reasonTimeout           = "timeout"
	reasonNotEnoughReplicas = "not_enough_replicas"
	reasonUnknownTopic      = "unknown_topic"
	reasonInvalid           = "invalid" // the record itself is invalid: a retry would not help
)

var produceErrors = []string{
	reasonRejected, reasonQueueFull, reasonTimeout, reasonNotEnoughReplicas, reasonUnknownTopic, reasonInvalid,
}

type report struct {
	placed Placed
	err    error
}

// waiter travels through the client as the record's opaque value.
type waiter struct {
	sent time.Time
	done func(Placed, error)
	span *SendSpan // nil unless it is recorded
}

// Send queues a record and waits for its acknowledgement, the end of ctx or the
// ack timeout. A nil error means that all in-sync replicas have the record.
func (p *Producer) Send(ctx context.Context, r Record) (Placed, error) {
	// Buffered, so that the report doesn't block once the caller has returned.
	reports := make(chan report, 1)
	if err := p.Enqueue(ctx, r, func(placed Placed, err error) { reports <- report{placed, err} }); err != nil {
		return Placed{}, err
	}
	late := time.NewTimer(p.ackTimeout)
	defer late.Stop()
	select {
	case got := <-reports:
		return got.placed, got.err
	case <-ctx.Done():
		return Placed{}, fmt.Errorf("%w: no acknowledgement yet: %w", ErrUnavailable, ctx.Err())
	case <-late.C: // librdkafka looks only once a second for records that are late
		return Placed{}, fmt.Errorf("%w: no acknowledgement within %s", ErrUnavailable, p.ackTimeout)
	}
}

// Enqueue queues a record and returns. done is called once with the outcome, by the
// goroutine of Run, so it must not block. If Enqueue returns an error, done is not
// called. ctx is only for the trace that the record belongs to; one that has a trace
// header already keeps it.
func (p *Producer) Enqueue(ctx context.Context, r Record, done func(Placed, error)) error {
	span := StartSend(ctx, p.tracer, p.begins, p.clientID, &r)
	err := p.client.Produce(&kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &r.Topic, Partition: kafka.PartitionAny},
		Key:            r.Key,
		Value:          r.Value,
		Headers:        r.Headers,
		Timestamp:      r.Timestamp,
		Opaque:         &waiter{sent: time.Now(), done: done, span: span},
	}, nil)
	if err != nil {
		span.End(err)
		return p.failed(r.Topic, err)
	}
	return nil
}

// Run reports the outcome of records until Stop closes the client. It returns an
// error only if the client can't recover and the process must be restarted.
func (p *Producer) Run(context.Context) error {
	events := p.client.Events()
	for event := range events {
		now := time.Now() // one reading for all that are here by now
		for more := len(events); ; more-- {
			if err := p.handle(event, now); err != nil {
				return err
			}
			if more == 0 {
				break
			}
			event = <-events
		}
	}
	return nil
}

// handle reports the outcome of a record, or returns the error that ends Run.
func (p *Producer) handle(event kafka.Event, now time.Time) error {
	switch e := event.(type) {
	case *kafka.Message:
		w, ok := e.Opaque.(*waiter)
		if !ok {
			return nil
		}
		topic := *e.TopicPartition.Topic
		if err := e.TopicPartition.Error; err != nil {
			w.span.End(err)
			w.done(Placed{}, p.failed(topic, err))
			return nil
		}
		placed := Placed{Topic: topic, Partition: e.TopicPartition.Partition, Offset: int64(e.TopicPartition.Offset), At: now}
		trace.ObserveID(w.span.traceID(), p.duration.WithLabelValues(topic), now.Sub(w.sent).Seconds())
		w.span.placed(placed)
		w.done(placed, nil)
	case kafka.Error:
		LogError(p.log, e)
		if e.IsFatal() && e.Code() == kafka.ErrClusterAuthorizationFailed {
			// Without a grant to write to any topic, brokers reject an idempotent producer.
			return fmt.Errorf("the producer failed for good: %w: %w", e,
				refusal("user %q may not write to any topic: grant it (ACLS of topics), or give the service its own credential", p.config.SASLUsername))
		}
		if e.IsFatal() {
			return fmt.Errorf("the producer failed for good: %w", e)
		}
	}
	return nil
}

// Stop implements lifecycle.Actor: it waits until ctx ends at most for the queued
// records, and closes the client, which ends Run.
func (p *Producer) Stop(ctx context.Context) {
	for p.client.Len() > 0 && ctx.Err() == nil {
		p.client.Flush(100)
	}
	if left := p.client.Len(); left > 0 {
		p.log.Error("records not acknowledged at shutdown", "count", left)
	}
	p.client.Close()
}

// Probe is the health check of Kafka for a service with these needs.
//
// When it first succeeds, it asks once more. The client requests its producer id, without
// which it sends nothing, whenever a broker has answered such a question; the first answer
// comes from a bootstrap server, which it disconnects from at once, and then it would try
// again only half a second later (rd_kafka_idemp_pid_fsm).
func (p *Producer) Probe(needs ...Need) func(context.Context) error {
	probe := p.config.Probe(p.client, needs...)
	var asked atomic.Bool
	return func(ctx context.Context) error {
		err := probe(ctx)
		if err == nil && !asked.Swap(true) {
			_, err = p.client.GetMetadata(nil, false, int(remaining(ctx).Milliseconds()))
		}
		return err
	}
}

func (p *Producer) failed(topic string, err error) error {
	reason := produceError(err)
	p.failures.WithLabelValues(topic, reason).Inc()
	if reason == reasonInvalid {
		return fmt.Errorf("producing to %q: %w", topic, err)
	}
	return fmt.Errorf("%w: producing to %q: %w", ErrUnavailable, topic, err)
}

// produceError returns the reason that an error is counted under.
func produceError(err error) string {
	var ke kafka.Error
	if !errors.As(err, &ke) {
		return reasonRejected
	}
	switch ke.Code() {
	case kafka.ErrQueueFull:
		return reasonQueueFull
	case kafka.ErrMsgTimedOut, kafka.ErrTimedOut, kafka.ErrRequestTimedOut:
		return reasonTimeout
	case kafka.ErrNotEnoughReplicas, kafka.ErrNotEnoughReplicasAfterAppend:
		return reasonNotEnoughReplicas
	case kafka.ErrUnknownTopicOrPart, kafka.ErrUnknownTopic:
		return reasonUnknownTopic
	case kafka.ErrMsgSizeTooLarge, kafka.ErrInvalidRecord, kafka.ErrInvalidMsg:
		return reasonInvalid
	}
	return reasonRejected
}
