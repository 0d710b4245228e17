package main

import (
	"strings"
	"testing"
	"time"
)

// As federation writes it: everything untyped, with timestamps in milliseconds.
const federated = `# TYPE up untyped
up{job="shopstream",service="web-server",pod="a"} 1 1700000000000
# TYPE http_requests_total untyped
http_requests_total{service="web-server",pod="a",route="/api/v1/buy",code="202"} 40 1700000002000
http_requests_total{service="web-server",pod="b",route="/api/v1/buy",code="202"} 7 1700000001000
# TYPE purchase_end_to_end_seconds_bucket untyped
purchase_end_to_end_seconds_bucket{service="management-api",pod="m",le="0.1"} 90 1700000001000
purchase_end_to_end_seconds_bucket{service="management-api",pod="m",le="0.2"} 100 1700000001000
purchase_end_to_end_seconds_bucket{service="management-api",pod="m",le="+Inf"} 100 1700000001000
`

// As a process serves it.
const direct = `# TYPE http_requests_total counter
http_requests_total{service="web-server",pod="a",route="/api/v1/buy",code="202"} 10
http_requests_total{service="web-server",pod="b",route="/api/v1/buy",code="202"} 9
# TYPE purchase_end_to_end_seconds histogram
purchase_end_to_end_seconds_bucket{service="management-api",pod="m",le="0.1"} 0
purchase_end_to_end_seconds_bucket{service="management-api",pod="m",le="0.2"} 0
purchase_end_to_end_seconds_bucket{service="management-api",pod="m",le="+Inf"} 0
purchase_end_to_end_seconds_sum{service="management-api",pod="m"} 0
purchase_end_to_end_seconds_count{service="management-api",pod="m"} 0
`

func TestScrapes(t *testing.T) {
	now := time.Unix(1800000000, 0)
	before, err := parseMetrics(strings.NewReader(direct), now)
	if err != nil {
		t.Fatal(err)
	}
	if !before.at.Equal(now) {
		t.Errorf("without timestamps the time is %s, want now", before.at)
	}
	after, err := parseMetrics(strings.NewReader(federated), now)
	if err != nil {
		t.Fatal(err)
	}
	if want := time.UnixMilli(1700000002000); !after.at.Equal(want) {
		t.Errorf("the time is %s, want that of the newest sample %s", after.at, want)
	}
	// Pod a has served 30 more; pod b was restarted and has served 7 since.
	if got := after.value.increase(before.value, named("web-server", metricRequests)); got != 37 {
		t.Errorf("requests grew by %v, want 37", got)
	}
	slowest, ok := after.value.slowest(before.value, named("management-api", metricEndToEnd))
	if !ok || slowest.Round(time.Millisecond) != 150*time.Millisecond {
		t.Errorf("95 %% within %s, %t, want 150ms", slowest, ok)
	}
	if _, ok := after.value.slowest(after.value, named("management-api", metricEndToEnd)); ok {
		t.Error("nothing was stored in between, and still there is a latency")
	}
	if _, err := parseMetrics(strings.NewReader("# nothing\n"), now); err == nil {
		t.Error("a response without metrics is accepted")
	}
}
