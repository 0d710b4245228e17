package httpx_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"shopstream/services/internal/health"
	"shopstream/services/internal/httpx"
	"shopstream/services/internal/otlp"
	"shopstream/services/internal/telemetry"
	"shopstream/services/internal/testkit/collector"
	"shopstream/services/internal/testkit/logtest"
)

// traced serves an engine whose requests are traced.
func traced(t *testing.T, c *collector.Collector, sampling float64, begins bool) (url string, logs *logtest.Lines) {
	t.Helper()
	logs, reg := &logtest.Lines{}, prometheus.NewRegistry()
	log := telemetry.NewLogger(logs, telemetry.Config{LogLevel: slog.LevelDebug}, "shop")
	tracer := otlp.New(otlp.Config{Endpoint: c.URL, Sampling: sampling}, "shop", log, reg)
	t.Cleanup(func() { tracer.Stop(context.Background()) })
	engine := httpx.NewEngine(log, reg, health.New(reg))
	httpx.Trace(engine, tracer, begins)
	engine.GET("/users/:id", func(c *gin.Context) { c.String(http.StatusOK, c.Param("id")) })
	engine.GET("/panic", func(*gin.Context) { panic("boom") })
	engine.GET("/away", func(c *gin.Context) { httpx.Abort(c, http.StatusServiceUnavailable, "away") })
	engine.GET("/through", func(c *gin.Context) {
		r, err := http.NewRequestWithContext(c.Request.Context(), http.MethodGet, c.Query("to"), nil)
		if err != nil {
			panic(err)
		}
		response, err := httpx.Do(tracer, http.DefaultClient, r)
		if err != nil {
			httpx.Abort(c, http.StatusBadGateway, err.Error())
			return
		}
		defer response.Body.Close()
		c.Status(response.StatusCode)
	})
	server := httptest.NewServer(httpx.Handler(engine))
	t.Cleanup(server.Close)
	return server.URL, logs
}

func TestTraceOfARequest(t *testing.T) {
	c := collector.Start(t)
	url, logs := traced(t, c, 1, true)
	for path, want := range map[string]struct {
		name, status string
		failed       bool
	}{
		"/users/ada": {"GET /users/:id", "200", false},
		"/panic":     {"GET /panic", "500", true},
		"/away":      {"GET /away", "503", true},
	} {
		get(t, url+path)
		s := c.Await(t, path, func(s collector.Span) bool { return s.Attributes["url.path"] == path })
		if s.Name != want.name || s.Kind != "SERVER" || s.Failed != want.failed || s.Attributes["http.response.status_code"] != want.status ||
			s.Attributes["http.request.method"] != http.MethodGet || s.Attributes["http.route"] != strings.TrimPrefix(want.name, "GET ") {
			t.Errorf("%s: %+v", path, s)
		}
	}
	// The log line, and the exemplar for a scraper that asks for OpenMetrics, lead to it.
	line := logs.Find("request")
	if id, _ := line["trace_id"].(string); id == "" || len(c.Select(func(s collector.Span) bool { return s.Trace == id })) == 0 {
		t.Errorf("the log line %v leads to no trace", line)
	}
	s := c.Await(t, "a request", collector.Named("shop", "GET /users/:id"))
	if got := metrics(t, url, "application/openmetrics-text"); !strings.Contains(got, `# {trace_id="`+s.Trace+`"}`) {
		t.Errorf("no exemplar of trace %s in\n%s", s.Trace, got)
	}
	if got := metrics(t, url, "text/plain"); strings.Contains(got, s.Trace) {
		t.Error("exemplars in a format that has none")
	}
	// Probes and scrapes, and what is no route, are not traced.
	for _, path := range []string{"/health", "/-/ready", "/metrics", "/nowhere"} {
		get(t, url+path)
	}
	get(t, url+"/users/last")
	c.Await(t, "the last request", func(s collector.Span) bool { return s.Attributes["url.path"] == "/users/last" })
	if got := len(c.Spans()); got != 4 {
		t.Errorf("%d spans, want those of 4 requests", got)
	}
}

func metrics(t *testing.T, url, accept string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTraceThroughAService(t *testing.T) {
	c := collector.Start(t)
	url, _ := traced(t, c, 1, true)
	get(t, url+"/through?to="+url+"/users/ada")
	first := c.Await(t, "the request", collector.Named("shop", "GET /through"))
	want := "shop: GET /through\n  shop: GET\n    shop: GET /users/:id\n"
	for deadline := time.Now().Add(10 * time.Second); c.Tree(first.Trace) != want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the trace is\n%swant\n%s", c.Tree(first.Trace), want)
		}
	}
	get(t, url+"/through?to=http://127.0.0.1:1")
	c.Await(t, "a call that failed", func(s collector.Span) bool { return s.Name == "GET" && s.Kind == "CLIENT" && s.Failed })
}

// What is not sampled is not passed on: neither spans nor a header.
func TestUnsampledRequest(t *testing.T) {
	c := collector.Start(t)
	url, logs := traced(t, c, 0, true)
	header := make(chan string, 1)
	peer := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { header <- r.Header.Get("traceparent") }))
	defer peer.Close()
	get(t, url+"/through?to="+peer.URL)
	if got := <-header; got != "" {
		t.Errorf("traceparent %q", got)
	}
	if line := logs.Find("request"); line == nil || line["trace_id"] != nil {
		t.Errorf("the log line is %v", line)
	}
}

// A service behind another begins no trace, and continues those that are named.
func TestTraceBehindAnotherService(t *testing.T) {
	c := collector.Start(t)
	url, _ := traced(t, c, 1, false)
	get(t, url+"/users/unnamed")
	for _, flags := range []string{"00", "01"} { // the recorded one last: spans arrive in order
		r, err := http.NewRequest(http.MethodGet, url+"/users/"+flags, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-"+flags)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	c.Await(t, "the recorded one", func(s collector.Span) bool { return s.Attributes["url.path"] == "/users/01" })
	if spans := c.Spans(); len(spans) != 1 || spans[0].Parent != "00f067aa0ba902b7" {
		t.Errorf("spans %+v", spans)
	}
}
