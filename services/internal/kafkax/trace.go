package kafkax

import (
	"context"
	"slices"
	"strconv"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	oteltrace "go.opentelemetry.io/otel/trace"

	"shopstream/services/internal/trace"
)

// HeaderTrace is the header with the trace that a record belongs to, as the W3C's Trace
// Context defines it. Only records of a sampled trace have one.
const HeaderTrace = "traceparent"

// TraceID returns the id of the sampled trace that a record belongs to, or "".
func TraceID(headers []kafka.Header) string {
	if origin := originOf(headers); origin.IsSampled() {
		return origin.TraceID().String()
	}
	return ""
}

// TraceHeaders returns a record's own header with its trace, if it is a valid one.
func TraceHeaders(headers []kafka.Header) []kafka.Header {
	for _, h := range headers {
		if h.Key == HeaderTrace && originOf(headers).IsValid() {
			return []kafka.Header{h}
		}
	}
	return nil
}

// originOf returns the span that a record comes from; it is not valid if the record has
// none.
func originOf(headers []kafka.Header) oteltrace.SpanContext {
	if !isTraced(headers) {
		return oteltrace.SpanContext{}
	}
	own := headers // only here does it cost memory
	ctx := propagation.TraceContext{}.Extract(context.Background(), carrier{&own})
	return oteltrace.SpanContextFromContext(ctx)
}

func isTraced(headers []kafka.Header) bool {
	return slices.ContainsFunc(headers, func(h kafka.Header) bool { return h.Key == HeaderTrace })
}

// carrier lets OpenTelemetry read and write headers.
type carrier struct{ headers *[]kafka.Header }

func (c carrier) Get(key string) string { return Header(*c.headers, key) }

func (c carrier) Set(key, value string) {
	// The caller may use the same headers for other records.
	*c.headers = append(slices.Clip(*c.headers), kafka.Header{Key: key, Value: []byte(value)})
}

func (c carrier) Keys() []string {
	keys := make([]string, 0, len(*c.headers))
	for _, h := range *c.headers {
		keys = append(keys, h.Key)
	}
	return keys
}

// SendSpan is the span of one record from the queue to its acknowledgement. Nil stands
// for a record whose trace is not recorded.
type SendSpan struct {
	span            oteltrace.Span
	topic, clientID string
}

// StartSend starts the span of a record and names it in the record's headers. A record
// that has such a header already was sent before, and belongs to that trace. One that is
// part of no trace begins one if begins is set and the tracer decides so. Only those who
// send without a Producer need to call it.
func StartSend(ctx context.Context, tracer *trace.Tracer, begins bool, clientID string, r *Record) *SendSpan {
	if !tracer.On() {
		return nil
	}
	if origin := originOf(r.Headers); origin.IsValid() {
		ctx = oteltrace.ContextWithRemoteSpanContext(ctx, origin)
	}
	if parent := oteltrace.SpanContextFromContext(ctx); !parent.IsSampled() && (!begins || !tracer.Records(parent)) {
		return nil
	}
	ctx, span := tracer.Start(ctx, "send "+r.Topic, oteltrace.WithSpanKind(oteltrace.SpanKindProducer))
	if !isTraced(r.Headers) {
		propagation.TraceContext{}.Inject(ctx, carrier{&r.Headers})
	}
	return &SendSpan{span, r.Topic, clientID}
}

func (s *SendSpan) traceID() string {
	if s == nil {
		return ""
	}
	return s.span.SpanContext().TraceID().String()
}

// End ends the span; err is why the record was not acknowledged, if it was not.
func (s *SendSpan) End(err error) {
	if s == nil {
		return
	}
	var more []attribute.KeyValue
	if err != nil {
		more = append(more, semconv.ErrorTypeKey.String(produceError(err)))
		s.span.SetStatus(codes.Error, err.Error())
	}
	s.endWith(more...)
}

// placed ends the span of a record that was acknowledged.
func (s *SendSpan) placed(at Placed) {
	if s == nil {
		return
	}
	s.endWith(placeAttributes(at.Partition, at.Offset)...)
}

// endWith sets all attributes at once: the SDK copies those that it has with every call.
func (s *SendSpan) endWith(more ...attribute.KeyValue) {
	s.span.SetAttributes(append(more,
		semconv.MessagingSystemKafka,
		semconv.MessagingOperationName("send"), semconv.MessagingOperationTypeSend,
		semconv.MessagingDestinationName(s.topic), semconv.MessagingClientID(s.clientID),
	)...)
	s.span.End()
}

func placeAttributes(partition int32, offset int64) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.MessagingDestinationPartitionID(strconv.Itoa(int(partition))), semconv.MessagingKafkaOffset(int(offset)),
	}
}
