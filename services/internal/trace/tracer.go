// Package trace records what happens to a request and to the records that it leads to,
// across the services, as OpenTelemetry spans.
package trace

import (
	"context"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/trace"

	"shopstream/services/internal/lifecycle"
)

// stopTimeout bounds sending the last spans at a shutdown.
const stopTimeout = 2 * time.Second

// Tracer starts spans. A nil Tracer is off. Safe for concurrent use.
type Tracer struct {
	spans    trace.Tracer
	sampling float64
	stop     func(context.Context) error
}

// New returns a tracer that records a share of the traces that begin here, from 0 to 1;
// stop sends the last spans.
func New(spans trace.Tracer, sampling float64, stop func(context.Context) error) *Tracer {
	return &Tracer{spans, sampling, stop}
}

// On reports whether spans are recorded at all.
func (t *Tracer) On() bool { return t != nil }

// Records decides whether work is recorded that is caused by parent, or by nothing if
// parent is not valid. A trace that has begun elsewhere keeps its decision.
func (t *Tracer) Records(parent trace.SpanContext) bool {
	if t == nil {
		return false
	}
	if parent.IsValid() {
		return parent.IsSampled()
	}
	return rand.Float64() < t.sampling
}

// Start starts a span. Callers ask first whether it is recorded, so that they spend
// nothing on one that nobody sees.
func (t *Tracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	return t.spans.Start(ctx, name, options...)
}

// Actor sends the last spans when it is stopped. It must be the last of a service's
// actors.
func (t *Tracer) Actor() lifecycle.Actor {
	return lifecycle.Actor{
		Name: "tracer",
		Run:  func(ctx context.Context) error { <-ctx.Done(); return nil },
		Stop: t.Stop,
	}
}

// Stop sends the last spans, for at most a moment.
func (t *Tracer) Stop(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	_ = t.stop(ctx) // what is not sent by then is lost, as announced
}
