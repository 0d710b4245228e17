package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"shopstream/services/internal/testkit/brokertest"
	"shopstream/services/internal/testkit/collector"
)

func TestNoTraceUnlessAsked(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "purchases", 1, nil)
	s := start(t, k.BootstrapServers, topic, newUpstream(t).URL).ready(t)
	s.buy(t, purchaseOf("ada", 1), "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	for _, r := range k.Read(t, topic) {
		if len(r.Headers) > 0 {
			t.Errorf("the record has headers %s", r.Headers)
		}
	}
}

// The record carries the span that sent it, which belongs to the caller's trace; the
// question for it is passed on in a trace too.
func TestTraceOfABuy(t *testing.T) {
	c, k := collector.Start(t), brokertest.Start(t)
	topic := k.Topic(t, "purchases", 1, nil)
	s := start(t, k.BootstrapServers, topic, newUpstream(t).URL, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL).ready(t)
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	id := s.buy(t, purchaseOf("ada", 1), "traceparent", "00-"+trace+"-00f067aa0ba902b7-01").data(t).EventID
	request := c.Await(t, "the request", collector.Named("web-server", "POST /api/v1/buy"))
	sent := c.Await(t, "the record", collector.Named("web-server", "send "+topic))
	if request.Trace != trace || request.Parent != "00f067aa0ba902b7" || request.Attributes["shopstream.event_id"] != id || sent.Parent != request.ID {
		t.Errorf("request: %+v\nrecord: %+v", request, sent)
	}
	for name, want := range map[string]string{
		"messaging.system": "kafka", "messaging.destination.name": topic, "messaging.operation.type": "send", "messaging.operation.name": "send",
		"messaging.client.id": "web-server", "messaging.destination.partition.id": "0", "messaging.kafka.offset": "0",
	} {
		if got := sent.Attributes[name]; got != want {
			t.Errorf("the record's span has %s %q, want %q", name, got, want)
		}
	}
	record := k.Read(t, topic)[0]
	if len(record.Headers) != 1 || record.Headers[0].Key != "traceparent" || string(record.Headers[0].Value) != "00-"+trace+"-"+sent.ID+"-01" {
		t.Errorf("the record has headers %s, want the span %s of trace %s", record.Headers, sent.ID, trace)
	}
}

// A collector that never answers slows and loses nothing.
func TestBuyWhileTheCollectorIsSilent(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "purchases", 3, nil)
	s := start(t, k.BootstrapServers, topic, newUpstream(t).URL, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+newBlackHole(t).Addr().String()).ready(t)
	const shoppers, each = 16, 200 // more spans than may wait
	var buying sync.WaitGroup
	for shopper := range shoppers {
		buying.Go(func() {
			for range each {
				begin := time.Now()
				r, err := tryRequest(http.MethodPost, s.url+"/api/v1/buy", purchaseOf(fmt.Sprint("u", shopper), 1))
				if err != nil || r.status != http.StatusAccepted {
					t.Errorf("buy = %d %v", r.status, err)
					return
				}
				if took := time.Since(begin); took > 3*time.Second {
					t.Errorf("a buy took %s", took)
				}
			}
		})
	}
	buying.Wait()
	if got := len(k.Read(t, topic)); got != shoppers*each {
		t.Errorf("%d records of %d buys", got, shoppers*each)
	}
	metrics := string(request(t, http.MethodGet, s.url+"/metrics", "").body)
	if !strings.Contains(metrics, `trace_spans_dropped_total{reason="queue_full"}`) || strings.Contains(metrics, `trace_spans_dropped_total{reason="queue_full"} 0`) {
		t.Error("the spans that were dropped are not counted")
	}
	begin := time.Now()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 6*time.Second {
		t.Errorf("stopping took %s", took)
	}
}
