// Package collector is an OpenTelemetry collector for tests: it takes spans by OTLP over
// HTTP, and shows them as trees.
package collector

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	service "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector receives spans.
type Collector struct {
	URL string
	// Status, unless 0, is answered instead of taking spans.
	Status atomic.Int32
	// Refused counts the requests that were answered with Status.
	Refused atomic.Int32

	mu    sync.Mutex
	spans []Span
}

// Span is a received span.
type Span struct {
	Service, Name     string
	Kind              string   // such as "SERVER"
	Trace, ID, Parent string   // in hexadecimal digits; Parent is "" for a root
	Links             []string // ids of the linked spans
	LinkedTraces      []string // those that they belong to
	Events            []string // names
	Attributes        map[string]string
	Failed            bool
	Start, End        time.Time
}

// Start returns a collector that stops with the test.
func Start(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", c.take)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

func (c *Collector) take(w http.ResponseWriter, r *http.Request) {
	if status := int(c.Status.Load()); status != 0 {
		c.Refused.Add(1)
		w.WriteHeader(status)
		return
	}
	body, err := io.ReadAll(r.Body)
	var request service.ExportTraceServiceRequest
	if err != nil || r.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(body, &request) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		name := attributesOf(resource.GetResource().GetAttributes())["service.name"]
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, spanOf(name, s))
			}
		}
	}
	answer, _ := proto.Marshal(&service.ExportTraceServiceResponse{})
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer)
}

func spanOf(service string, s *otlp.Span) Span {
	span := Span{
		Service: service, Name: s.GetName(), Kind: strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_"),
		Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
		Attributes: attributesOf(s.GetAttributes()), Failed: s.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR,
		Start: time.Unix(0, int64(s.GetStartTimeUnixNano())), End: time.Unix(0, int64(s.GetEndTimeUnixNano())),
	}
	for _, l := range s.GetLinks() {
		span.Links = append(span.Links, hex.EncodeToString(l.GetSpanId()))
		span.LinkedTraces = append(span.LinkedTraces, hex.EncodeToString(l.GetTraceId()))
	}
	for _, e := range s.GetEvents() {
		span.Events = append(span.Events, e.GetName())
	}
	return span
}

func attributesOf(list []*common.KeyValue) map[string]string {
	attributes := map[string]string{}
	for _, kv := range list {
		switch v := kv.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			attributes[kv.GetKey()] = v.StringValue
		case *common.AnyValue_IntValue:
			attributes[kv.GetKey()] = fmt.Sprint(v.IntValue)
		default:
			attributes[kv.GetKey()] = kv.GetValue().String()
		}
	}
	return attributes
}

// Spans returns all spans so far, in order of their beginning.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	spans := slices.Clone(c.spans)
	slices.SortStableFunc(spans, func(a, b Span) int { return a.Start.Compare(b.Start) })
	return spans
}

// Select returns the spans that match.
func (c *Collector) Select(match func(Span) bool) []Span {
	return slices.DeleteFunc(c.Spans(), func(s Span) bool { return !match(s) })
}

// Await waits for the first span that matches.
func (c *Collector) Await(t testing.TB, what string, match func(Span) bool) Span {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if found := c.Select(match); len(found) > 0 {
			return found[0]
		}
		if time.Now().After(deadline) {
			var seen strings.Builder
			for _, s := range c.Spans() {
				fmt.Fprintf(&seen, "%s %s: %s %v\n", s.Trace, s.Service, s.Name, s.Attributes)
			}
			t.Fatalf("no span of %s among:\n%s", what, seen.String())
		}
	}
}

// Named matches the spans of a service with a name.
func Named(service, name string) func(Span) bool {
	return func(s Span) bool { return s.Service == service && s.Name == name }
}

// Tree draws a trace: a line per span, "service: name", below its parent and in order of
// the beginnings.
func (c *Collector) Tree(trace string) string {
	spans := c.Select(func(s Span) bool { return s.Trace == trace })
	known := map[string]bool{}
	for _, s := range spans {
		known[s.ID] = true
	}
	var drawing strings.Builder
	var draw func(parent string, depth int)
	draw = func(parent string, depth int) {
		for _, s := range spans {
			if s.Parent == parent || parent == "" && !known[s.Parent] {
				fmt.Fprintf(&drawing, "%s%s: %s\n", strings.Repeat("  ", depth), s.Service, s.Name)
				draw(s.ID, depth+1)
			}
		}
	}
	draw("", 0)
	return drawing.String()
}
