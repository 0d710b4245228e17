// Package otlp sends a service's traces to an OpenTelemetry collector, by OTLP over HTTP.
// Without a collector's address nothing is recorded.
package otlp

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"

	"shopstream/services/internal/trace"
)

// New returns the tracer of a service, or nil if cfg names no collector. It doesn't
// wait for the collector, and nothing else does either: spans that can't be sent are
// dropped and counted.
func New(cfg Config, service string, log *slog.Logger, reg prometheus.Registerer) *trace.Tracer {
	if cfg.Endpoint == "" {
		return nil
	}
	log.Info("tracing", "endpoint", cfg.Endpoint, "sampling", cfg.Sampling)
	provider := sdk.NewTracerProvider(
		sdk.WithSpanProcessor(newPipeline(cfg.Endpoint, log, reg)),
		sdk.WithSampler(sdk.AlwaysSample()), // the tracer decides before
		sdk.WithResource(resourceOf(service)),
		sdk.WithRawSpanLimits(limits()),
	)
	return trace.New(provider.Tracer("shopstream"), cfg.Sampling, provider.Shutdown)
}

// limits bound a span. Not its links: a batch links to each of its records, whose number
// is bounded elsewhere.
func limits() sdk.SpanLimits {
	l := sdk.NewSpanLimits()
	l.AttributeValueLengthLimit, l.LinkCountLimit = 1024, -1
	return l
}

func resourceOf(service string) *resource.Resource {
	attributes := []attribute.KeyValue{semconv.ServiceName(service), semconv.ServiceNamespace("shopstream")}
	if host, err := os.Hostname(); err == nil {
		attributes = append(attributes, semconv.ServiceInstanceID(host))
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				attributes = append(attributes, semconv.ServiceVersion(s.Value))
			}
		}
	}
	return resource.NewWithAttributes(semconv.SchemaURL, attributes...)
}
