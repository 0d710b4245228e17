// Package telemetry makes the logger and the metrics registry that a service
// passes to its parts.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"shopstream/services/internal/trace"
)

// Config sets what a service logs, and in which format.
type Config struct {
	LogLevel  slog.Level `env:"LOG_LEVEL" envDefault:"info" doc:"Lowest level that is logged: debug, info, warn or error."`
	LogFormat string     `env:"LOG_FORMAT" envDefault:"json" doc:"Format of the log lines: json or text."`
}

// Validate implements envconf.Validator.
func (c Config) Validate() error {
	if c.LogFormat != "json" && c.LogFormat != "text" {
		return fmt.Errorf("LOG_FORMAT must be json or text, not %q", c.LogFormat)
	}
	return nil
}

// NewLogger returns a logger that writes to w and names the service. A line that is
// written in the course of a recorded trace has its id.
func NewLogger(w io.Writer, cfg Config, service string) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	var handler slog.Handler = slog.NewJSONHandler(w, options)
	if cfg.LogFormat == "text" {
		handler = slog.NewTextHandler(w, options)
	}
	return slog.New(traced{handler}).With("service", service)
}

// traced adds the trace id to lines that are logged with its context.
type traced struct{ slog.Handler }

func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if id := trace.ID(ctx); id != "" {
		r.AddAttrs(slog.String("trace_id", id))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(attrs)} }

func (h traced) WithGroup(name string) slog.Handler { return traced{h.Handler.WithGroup(name)} }

// NewRegistry returns a registry with metrics of the Go runtime, the process and
// the build. There is no global registry.
func NewRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(),
	)
	return reg
}

func buildInfo() prometheus.Collector {
	revision, goVersion := "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		goVersion = info.GoVersion
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "build_info",
		Help:        "Always 1; the labels say what was built.",
		ConstLabels: prometheus.Labels{"revision": revision, "go_version": goVersion},
	}, func() float64 { return 1 })
}
