package kafkax

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	oteltrace "go.opentelemetry.io/otel/trace"

	"shopstream/services/internal/trace"
)

// Processing says how the work of a group's member is traced.
type Processing struct {
	Tracer   *trace.Tracer // may be nil
	Topic    string
	Group    string
	ClientID string
	// Verb is what is done with a record, such as "store".
	Verb string
}

// Spans are those of a batch of records: one for the batch, and one for each record
// whose trace is sampled, in that trace. They link to each other. The span of a batch
// with only one such record is in the record's trace; with several it begins a trace of
// its own.
//
// Nil stands for a batch without such a record. Safe for concurrent use.
type Spans struct {
	batch oteltrace.Span

	mu      sync.Mutex
	records map[*kafka.Message]oteltrace.Span // without those that are done
}

// Start starts the spans of a batch.
func (p Processing) Start(ctx context.Context, messages iter.Seq[*kafka.Message]) *Spans {
	if !p.Tracer.On() {
		return nil
	}
	count := 0
	origins := map[*kafka.Message]oteltrace.SpanContext{}
	var links []oteltrace.Link
	for m := range messages {
		count++
		if origin := originOf(m.Headers); origin.IsSampled() {
			origins[m] = origin
			links = append(links, oteltrace.Link{SpanContext: origin, Attributes: placeAttributes(m.TopicPartition.Partition, int64(m.TopicPartition.Offset))})
		}
	}
	if len(origins) == 0 {
		return nil
	}
	kind := oteltrace.WithSpanKind(oteltrace.SpanKindConsumer)
	options := []oteltrace.SpanStartOption{kind, oteltrace.WithAttributes(p.attributes("process")...), oteltrace.WithAttributes(semconv.MessagingBatchMessageCount(count))}
	if len(links) == 1 {
		ctx = oteltrace.ContextWithRemoteSpanContext(ctx, links[0].SpanContext)
	} else {
		options = append(options, oteltrace.WithNewRoot(), oteltrace.WithLinks(links...))
	}
	_, batch := p.Tracer.Start(ctx, "process "+p.Topic, options...)
	s := &Spans{batch: batch, records: make(map[*kafka.Message]oteltrace.Span, len(origins))}
	for m, origin := range origins {
		_, s.records[m] = p.Tracer.Start(oteltrace.ContextWithRemoteSpanContext(ctx, origin), p.Verb+" "+p.Topic, kind,
			oteltrace.WithAttributes(p.attributes(p.Verb)...),
			oteltrace.WithAttributes(placeAttributes(m.TopicPartition.Partition, int64(m.TopicPartition.Offset))...),
			oteltrace.WithLinks(oteltrace.Link{SpanContext: batch.SpanContext()}))
	}
	return s
}

// Step starts the span of a part of the work, within that of the batch; end ends it, the
// first time that it is called.
func (p Processing) Step(ctx context.Context, name string) (end func(error)) {
	if !p.Tracer.On() || !oteltrace.SpanContextFromContext(ctx).IsSampled() {
		return func(error) {}
	}
	_, span := p.Tracer.Start(ctx, name)
	return func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

func (p Processing) attributes(operation string) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.MessagingSystemKafka,
		semconv.MessagingOperationName(operation), semconv.MessagingOperationTypeProcess,
		semconv.MessagingDestinationName(p.Topic), semconv.MessagingConsumerGroupName(p.Group), semconv.MessagingClientID(p.ClientID),
	}
}

// Context returns ctx within the span of the batch.
func (s *Spans) Context(ctx context.Context) context.Context {
	if s == nil {
		return ctx
	}
	return oteltrace.ContextWithSpan(ctx, s.batch)
}

// AttributeOutcome says what has become of a record.
const AttributeOutcome = "shopstream.outcome"

// Done ends the span of a record, which may have none. id is that of its event, "" if
// unknown; err is why the record was refused, if it was.
func (s *Spans) Done(m *kafka.Message, outcome, id string, err error) {
	if s == nil {
		return
	}
	s.mu.Lock()
	span := s.records[m]
	delete(s.records, m)
	s.mu.Unlock()
	if span == nil {
		return
	}
	span.SetAttributes(attribute.String(AttributeOutcome, outcome))
	if id != "" {
		span.SetAttributes(semconv.MessagingMessageID(id))
	}
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// Retry notes that an attempt has failed and that the next follows after a wait.
func (s *Spans) Retry(attempt int, err error, wait time.Duration) {
	if s == nil {
		return
	}
	event := oteltrace.WithAttributes(attribute.Int("attempt", attempt), attribute.String("error", err.Error()), attribute.String("retry_in", wait.String()))
	s.batch.AddEvent("retry", event)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.records {
		span.AddEvent("retry", event)
	}
}

// End ends the span of the batch, and those of the records that are not done: they
// will be delivered again. err is what has failed, if anything has.
func (s *Spans) End(err error) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.records {
		span.SetAttributes(attribute.String(AttributeOutcome, "delivered again"))
		span.End()
	}
	clear(s.records)
	if err != nil {
		s.batch.SetStatus(codes.Error, err.Error())
	}
	s.batch.End()
}
