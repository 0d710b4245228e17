package main

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"

	"shopstream/services/internal/testkit/collector"
)

// A purchase is one trace, from the request to the write; so is an order. What a shopper
// asks later is another.
func TestTraceOfAPurchase(t *testing.T) {
	c := collector.Start(t)
	p := up(t, setup{env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL, "INTERVAL": "500ms"}})

	const trace = "4bf92f3577b34da6a3ce929d0e0e4736" // begun by the shopper's own program
	request, err := http.NewRequest(http.MethodPost, p.url("WEB_SERVER_ADDR", "/api/v1/buy"), bytes.NewBufferString(`{"username":"Ada","userid":"ada","price":9.99}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		t.Fatalf("buy = %d", response.StatusCode)
	}
	wantTree(t, c, trace, `
web-server: POST /api/v1/buy
  web-server: send purchases
    management-api: process purchases
      management-api: insert purchases
    management-api: store purchases
`)

	id := c.Await(t, "the stored purchase", collector.Named("management-api", "store purchases")).Attributes["messaging.message.id"]
	var state struct {
		State, TraceID string
		Way            []struct {
			Step       string
			Partition  *int
			LagSeconds float64
		}
	}
	if err := get(p.url("WEB_SERVER_ADDR", "/api/v1/buys/"+id), &state); err != nil {
		t.Fatal(err)
	}
	if w := state.Way; state.State != "stored" || state.TraceID != trace || len(w) != 2 || w[0].Step != "accepted" || w[0].Partition == nil || w[1].Step != "stored" || w[1].LagSeconds <= 0 {
		t.Errorf("its way is %+v", state)
	}
	asked := c.Await(t, "the question", collector.Named("web-server", "GET /api/v1/buys/:eventId"))
	wantTree(t, c, asked.Trace, `
web-server: GET /api/v1/buys/:eventId
  web-server: GET
    management-api: GET /api/v1/purchases/by-event/:eventId
      management-api: find purchases
`)

	order := c.Await(t, "a counted order", func(s collector.Span) bool {
		return s.Name == "count orders" && s.Attributes["shopstream.outcome"] == "counted" && s.Attributes["messaging.batch.message_count"] == ""
	})
	wantTree(t, c, order.Trace, `
producer: send orders
  consumer: process orders
    consumer: transaction
  consumer: count orders
`)
	p.stop()
}

// wantTree waits until a trace is complete.
func wantTree(t *testing.T, c *collector.Collector, trace, want string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		if got := "\n" + c.Tree(trace); got != want {
			return fmt.Errorf("the trace is%swant%s", got, want)
		}
		return nil
	})
}
