package otlp_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/attribute"
	oteltrace "go.opentelemetry.io/otel/trace"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/otlp"
	"shopstream/services/internal/testkit/collector"
	"shopstream/services/internal/testkit/logtest"
	"shopstream/services/internal/trace"
)

// service is a tracer with its log and its metrics.
type service struct {
	*trace.Tracer
	logs *logtest.Lines
	reg  *prometheus.Registry
}

func start(t *testing.T, endpoint string, sampling float64) service {
	t.Helper()
	s := service{logs: &logtest.Lines{}, reg: prometheus.NewRegistry()}
	s.Tracer = otlp.New(otlp.Config{Endpoint: endpoint, Sampling: sampling}, "shop", slog.New(slog.NewJSONHandler(s.logs, nil)), s.reg)
	t.Cleanup(func() { s.Stop(context.Background()) })
	return s
}

// work makes a trace of one span.
func (s service) work(name string) {
	_, span := s.Start(context.Background(), name)
	span.End()
}

func (s service) metric(t *testing.T, name string) float64 {
	t.Helper()
	families, err := s.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

func TestSpansArrive(t *testing.T) {
	c := collector.Start(t)
	s := start(t, c.URL+"/", 1)
	ctx, parent := s.Start(t.Context(), "parent")
	_, child := s.Start(ctx, "child")
	child.End()
	parent.End()
	s.Stop(t.Context()) // sends what is left
	if got, want := c.Tree(parent.SpanContext().TraceID().String()), "shop: parent\n  shop: child\n"; got != want {
		t.Errorf("the trace is\n%swant\n%s", got, want)
	}
	if got := s.metric(t, "trace_spans_sent_total"); got != 2 {
		t.Errorf("%v spans sent, want 2", got)
	}
}

func TestOffWithoutAnEndpoint(t *testing.T) {
	s := start(t, "", 1)
	if s.On() {
		t.Error("the tracer is on")
	}
	if n, err := testutil.GatherAndCount(s.reg); n != 0 || err != nil {
		t.Errorf("%d metrics (%v)", n, err)
	}
}

// A trace that has begun elsewhere keeps its decision; of those that begin here, a share
// is recorded.
func TestSampling(t *testing.T) {
	caller := func(flags oteltrace.TraceFlags) oteltrace.SpanContext {
		return oteltrace.NewSpanContext(oteltrace.SpanContextConfig{TraceID: oteltrace.TraceID{1}, SpanID: oteltrace.SpanID{1}, TraceFlags: flags, Remote: true})
	}
	const tries = 10_000
	for sampling, want := range map[float64]int{0: 0, .1: tries / 10, 1: tries} {
		s := start(t, "http://127.0.0.1:1", sampling)
		if !s.Records(caller(oteltrace.FlagsSampled)) || s.Records(caller(0)) {
			t.Errorf("with a share of %v a caller's decision is not kept", sampling)
		}
		recorded := 0
		for range tries {
			if s.Records(oteltrace.SpanContext{}) {
				recorded++
			}
		}
		if recorded < want*8/10 || recorded > want*12/10 { // six standard deviations
			t.Errorf("with a share of %v, %d of %d traces are recorded", sampling, recorded, tries)
		}
	}
}

// A collector that is away for a moment loses nothing.
func TestCollectorAwayForAMoment(t *testing.T) {
	c := collector.Start(t)
	c.Status.Store(http.StatusServiceUnavailable)
	s := start(t, c.URL, 1)
	s.work("early")
	await(t, "a request is refused", func() bool { return c.Refused.Load() > 0 })
	c.Status.Store(0)
	c.Await(t, "the early work", collector.Named("shop", "early"))
	if got := s.metric(t, "trace_spans_dropped_total"); got != 0 {
		t.Errorf("%v spans dropped", got)
	}
}

// A collector that doesn't answer costs the work no time: what doesn't fit is dropped and
// counted, and the service stops soon.
func TestCollectorThatNeverAnswers(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := start(t, "http://"+silent.Addr().String(), 1)
	const spans = 20_000
	begin := time.Now()
	for range spans {
		s.work("work")
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("%d spans took %s", spans, took)
	}
	if got := s.metric(t, "trace_spans_dropped_total"); got < spans-4096 || got >= spans {
		t.Errorf("%v of %d spans dropped at once, want all but the 4096 that fit", got, spans)
	}
	await(t, "the first request is given up", func() bool { return s.logs.Find("the collector does not take traces; they are dropped") != nil })

	begin = time.Now()
	s.Stop(t.Context())
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

// A refusal is not repeated. It is logged once, and so is its end.
func TestCollectorThatRefuses(t *testing.T) {
	c := collector.Start(t)
	c.Status.Store(http.StatusForbidden)
	s := start(t, c.URL, 1)
	for n := range 3 {
		s.work("lost")
		await(t, "it is dropped", func() bool { return s.metric(t, "trace_spans_dropped_total") == float64(n+1) })
	}
	c.Status.Store(0)
	s.work("kept")
	c.Await(t, "the kept work", collector.Named("shop", "kept"))
	await(t, "its end is logged", func() bool { return s.logs.Find("the collector takes traces again") != nil })
	if got := strings.Count(s.logs.String(), "does not take traces"); got != 1 {
		t.Errorf("logged %d times:\n%s", got, s.logs)
	}
	if got := c.Refused.Load(); got != 3 {
		t.Errorf("%d requests for three refused batches", got)
	}
}

// A caller may name a path that is no UTF-8, which a collector would refuse with its whole batch.
func TestBrokenTextLosesNoSpan(t *testing.T) {
	c := collector.Start(t)
	s := start(t, c.URL, 1)
	_, span := s.Start(t.Context(), "GET \xff", oteltrace.WithAttributes(attribute.String("url.path", "/\xff")))
	span.End()
	s.Stop(t.Context())
	if got := s.metric(t, "trace_spans_sent_total"); got != 1 {
		t.Errorf("%v spans sent, want 1", got)
	}
	if got := c.Tree(span.SpanContext().TraceID().String()); got != "shop: GET \ufffd\n" {
		t.Errorf("the trace is %q", got)
	}
}

func TestConfig(t *testing.T) {
	for text, want := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318":             "OTEL_EXPORTER_OTLP_ENDPOINT",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://":                    "OTEL_EXPORTER_OTLP_ENDPOINT",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318?x=1":          "OTEL_EXPORTER_OTLP_ENDPOINT",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://u:p@c:4318":          "OTEL_EXPORTER_OTLP_ENDPOINT",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318":      "",
		"OTEL_EXPORTER_OTLP_ENDPOINT=https://otel.example/otlp/": "",
		"OTEL_TRACES_SAMPLER_ARG=1.1":                            "OTEL_TRACES_SAMPLER_ARG must be from 0 to 1",
		"OTEL_TRACES_SAMPLER_ARG=-0.1":                           "OTEL_TRACES_SAMPLER_ARG must be from 0 to 1",
		"OTEL_TRACES_SAMPLER_ARG=NaN":                            "OTEL_TRACES_SAMPLER_ARG must be from 0 to 1",
		"OTEL_TRACES_SAMPLER_ARG=0.1":                            "",
	} {
		_, err := envconf.Load[otlp.Config]([]string{text})
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want a fault with %q", text, err, want)
		case err != nil && strings.Contains(err.Error(), "u:p@"):
			t.Errorf("the password is shown: %v", err)
		}
	}
}
