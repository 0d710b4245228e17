package otlp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"shopstream/services/internal/retry"
)

const (
	// maxPending bounds the spans in memory that are not sent yet, a few megabytes.
	maxPending = 4096
	// exportBatch is the number of spans in one request.
	exportBatch = 512
	// exportEvery is how long a span waits for others.
	exportEvery = time.Second
	// exportTimeout bounds a request, its retries included.
	exportTimeout = 5 * time.Second
)

// Reasons of trace_spans_dropped_total.
const (
	reasonQueueFull = "queue_full"
	reasonExport    = "export"
)

// pipeline collects finished spans and sends them in batches. It never waits: a span
// for which there is no room is dropped. The batches are made by the SDK, which
// doesn't say how many it drops; so its queue is as long as the bound that is kept
// here, and never full.
type pipeline struct {
	sdk.SpanProcessor
	client  *client
	log     *slog.Logger
	pending atomic.Int64
	stopped context.Context // ends what is still being sent after a shutdown
	abandon context.CancelFunc
	failing bool // belongs to the goroutine that exports

	sent    prometheus.Counter
	dropped *prometheus.CounterVec
}

func newPipeline(endpoint string, log *slog.Logger, reg prometheus.Registerer) *pipeline {
	p := &pipeline{
		client: newClient(endpoint), log: log,
		sent: promauto.With(reg).NewCounter(prometheus.CounterOpts{
			Name: "trace_spans_sent_total",
			Help: "Spans that the collector has accepted.",
		}),
		dropped: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
			Name: "trace_spans_dropped_total",
			Help: "Spans that were dropped: too many were waiting, or the collector could not be reached.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{reasonQueueFull, reasonExport} {
		p.dropped.WithLabelValues(reason)
	}
	p.stopped, p.abandon = context.WithCancel(context.Background())
	p.SpanProcessor = sdk.NewBatchSpanProcessor(exporterFunc(p.export), sdk.WithMaxQueueSize(maxPending),
		sdk.WithMaxExportBatchSize(exportBatch), sdk.WithBatchTimeout(exportEvery), sdk.WithExportTimeout(exportTimeout))
	return p
}

// OnEnd implements sdk.SpanProcessor.
func (p *pipeline) OnEnd(s sdk.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if p.pending.Add(1) > maxPending {
		p.pending.Add(-1)
		p.dropped.WithLabelValues(reasonQueueFull).Inc()
		return
	}
	p.SpanProcessor.OnEnd(s)
}

// Shutdown implements sdk.SpanProcessor: it sends what is left until ctx ends.
func (p *pipeline) Shutdown(ctx context.Context) error {
	defer p.abandon()
	return p.SpanProcessor.Shutdown(ctx)
}

// export sends a batch. It logs when sending begins to fail and when it works again,
// and returns no error, since the SDK would write it to stderr.
func (p *pipeline) export(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	defer p.pending.Add(-int64(len(spans)))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.stopped, cancel)()
	err := p.client.send(ctx, encode(spans))
	if err != nil {
		p.dropped.WithLabelValues(reasonExport).Add(float64(len(spans)))
	} else {
		p.sent.Add(float64(len(spans)))
	}
	switch failing := err != nil; {
	case failing && !p.failing:
		p.log.Warn("the collector does not take traces; they are dropped", "error", err)
	case !failing && p.failing:
		p.log.Info("the collector takes traces again")
	}
	p.failing = err != nil
	return nil
}

type exporterFunc func(context.Context, []sdk.ReadOnlySpan) error

func (f exporterFunc) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	return f(ctx, spans)
}

func (exporterFunc) Shutdown(context.Context) error { return nil }

// client sends spans by OTLP over HTTP. OpenTelemetry's own client for it links gRPC,
// which adds five megabytes to each binary and 100 packages to each build.
type client struct {
	url  string
	http *http.Client
}

func newClient(endpoint string) *client {
	return &client{
		url: strings.TrimRight(endpoint, "/") + "/v1/traces",
		http: &http.Client{
			Transport: &http.Transport{
				DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
				TLSHandshakeTimeout: 2 * time.Second,
				IdleConnTimeout:     30 * time.Second,
				ForceAttemptHTTP2:   true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// errTransient is wrapped if the same request may succeed later.
var errTransient = errors.New("transient")

var backoff = retry.Backoff{First: 100 * time.Millisecond, Last: 2 * time.Second}

// send tries again until ctx ends.
func (c *client) send(ctx context.Context, body []byte) error {
	for attempt := 1; ; attempt++ {
		err := c.post(ctx, body)
		if err == nil || !errors.Is(err, errTransient) || !retry.Sleep(ctx, backoff.After(attempt)) {
			return err
		}
	}
}

func (c *client) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("sending spans: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("sending spans: %w: %w", errTransient, err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection is used again
	switch response.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return fmt.Errorf("sending spans to %s: %w: status %d", c.url, errTransient, response.StatusCode)
	}
	return fmt.Errorf("sending spans to %s: status %d", c.url, response.StatusCode)
}
