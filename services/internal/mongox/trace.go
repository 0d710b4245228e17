package mongox

import (
	"context"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	oteltrace "go.opentelemetry.io/otel/trace"

	"shopstream/services/internal/trace"
)

// monitor records a span for each command that belongs to a recorded trace. The
// values in the commands are not recorded.
func monitor(tracer *trace.Tracer) *event.CommandMonitor {
	if !tracer.On() {
		return nil
	}
	m := &commands{running: map[int64]oteltrace.Span{}}
	return &event.CommandMonitor{
		Started: func(ctx context.Context, e *event.CommandStartedEvent) {
			if oteltrace.SpanContextFromContext(ctx).IsSampled() {
				m.start(ctx, tracer, e)
			}
		},
		Succeeded: func(_ context.Context, e *event.CommandSucceededEvent) {
			if span := m.take(e.RequestID); span != nil {
				span.End()
			}
		},
		Failed: func(_ context.Context, e *event.CommandFailedEvent) {
			if span := m.take(e.RequestID); span != nil {
				span.SetAttributes(semconv.ErrorType(e.Failure))
				span.SetStatus(codes.Error, e.Failure.Error())
				span.End()
			}
		},
	}
}

// commands are the spans of the commands without an answer yet, by request.
type commands struct {
	mu      sync.Mutex
	running map[int64]oteltrace.Span
}

func (m *commands) start(ctx context.Context, tracer *trace.Tracer, e *event.CommandStartedEvent) {
	name := e.CommandName
	collection, named := e.Command.Lookup(e.CommandName).StringValueOK()
	if named {
		name += " " + collection
	}
	_, span := tracer.Start(ctx, name, oteltrace.WithSpanKind(oteltrace.SpanKindClient), oteltrace.WithAttributes(
		semconv.DBSystemNameMongoDB, semconv.DBNamespace(e.DatabaseName), semconv.DBOperationName(e.CommandName),
	))
	if named {
		span.SetAttributes(semconv.DBCollectionName(collection))
	}
	if size := batchSize(e.Command); size > 1 {
		span.SetAttributes(semconv.DBOperationBatchSize(size))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running[e.RequestID] = span
}

func (m *commands) take(request int64) oteltrace.Span {
	m.mu.Lock()
	defer m.mu.Unlock()
	span := m.running[request]
	delete(m.running, request)
	return span
}

// batchSize returns the number of documents that a command inserts.
func batchSize(command bson.Raw) int {
	documents, ok := command.Lookup("documents").ArrayOK()
	if !ok {
		return 0
	}
	values, err := documents.Values()
	if err != nil {
		return 0
	}
	return len(values)
}
