// Package trace records what happens to a request and to the records that it leads to,
// across the services, as OpenTelemetry spans.
package trace

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"

	"shopstream/services/internal/lifecycle"
)

// stopTimeout bounds sending the last spans at a shutdown.
const stopTimeout = 2 * time.Second

// Tracer starts spans. A nil Tracer is off. Safe for concurrent use.
type Tracer struct {
	spans trace.Tracer
	stop  func(context.Context) error
}

// New returns a tracer; stop sends the last spans.
func New(spans trace.Tracer, stop func(context.Context) error) *Tracer { return &Tracer{spans, stop} }

// On reports whether spans are recorded at all.
func (t *Tracer) On() bool { return t != nil }

// Start starts a span. The tracer must be on: a caller that asks first spends nothing
// on the options of a span that nobody sees.
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
