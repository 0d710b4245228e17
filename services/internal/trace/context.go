package trace

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// ID returns the id of the trace that ctx belongs to, or "" if it isn't recorded.
func ID(ctx context.Context) string {
	if span := trace.SpanContextFromContext(ctx); span.IsSampled() {
		return span.TraceID().String()
	}
	return ""
}

// Apart returns ctx outside of its trace, for what belongs to a record of the batch
// that is worked on: that has a trace of its own, or none.
func Apart(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.SpanContext{})
}

// Observe adds a value to a histogram, with the trace of ctx as its exemplar.
func Observe(ctx context.Context, histogram prometheus.Observer, value float64) {
	ObserveID(ID(ctx), histogram, value)
}

// ObserveID is Observe for the trace with an id; "" stands for none.
func ObserveID(id string, histogram prometheus.Observer, value float64) {
	if withExemplar, ok := histogram.(prometheus.ExemplarObserver); ok && id != "" {
		withExemplar.ObserveWithExemplar(value, prometheus.Labels{"trace_id": id})
		return
	}
	histogram.Observe(value)
}

// Note adds what is known to the span of ctx, if it is recorded.
func Note(ctx context.Context, key, value string) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(attribute.String(key, value))
	}
}
