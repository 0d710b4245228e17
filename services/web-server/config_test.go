package main

import (
	"strings"
	"testing"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/testkit/envconftest"
)

func TestEnvironmentIsDocumented(t *testing.T) { envconftest.Golden[config](t) }

func TestTheLeastConfigurationIsEnough(t *testing.T) {
	cfg, err := envconf.Load[config]([]string{"KAFKA_BOOTSTRAP_SERVERS=k:9092", "MANAGEMENT_API_URL=http://m:8080/"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Addr != ":8081" || cfg.PurchasesTopic != "purchases" || cfg.Currency != "USD" || cfg.MaxPending != 2000 {
		t.Errorf("defaults = %+v", cfg)
	}
}

func TestAllFaultsAreListedAtOnce(t *testing.T) {
	tests := map[string]struct {
		environ []string
		want    []string
	}{
		"missing and malformed": {
			[]string{"HTTP_ADDR=8081", "ACK_TIMEOUT=soon", "MAX_PENDING=many", "CURRENCY="},
			[]string{"KAFKA_BOOTSTRAP_SERVERS", "MANAGEMENT_API_URL", "HTTP_ADDR", "ACK_TIMEOUT", "MAX_PENDING", "CURRENCY"},
		},
		"out of range": {
			[]string{
				"KAFKA_BOOTSTRAP_SERVERS=nohost", "MANAGEMENT_API_URL=management-api:8080", "CURRENCY=usd",
				"ACK_TIMEOUT=1ms", "MAX_PENDING=0", "LOG_FORMAT=xml", "DRAIN_DELAY=-1s",
			},
			[]string{"KAFKA_BOOTSTRAP_SERVERS", "MANAGEMENT_API_URL", "CURRENCY", "ACK_TIMEOUT", "MAX_PENDING", "LOG_FORMAT", "DRAIN_DELAY"},
		},
		"a code that no currency has": {
			[]string{"KAFKA_BOOTSTRAP_SERVERS=k:1", "MANAGEMENT_API_URL=http://m", "CURRENCY=ZZZ"},
			[]string{`CURRENCY "ZZZ" is not a currency in use`},
		},
		"a currency that was withdrawn": {
			[]string{"KAFKA_BOOTSTRAP_SERVERS=k:1", "MANAGEMENT_API_URL=http://m", "CURRENCY=HRK"},
			[]string{`CURRENCY "HRK" is not a currency in use`},
		},
		"an ack may not outlast the shutdown": {
			[]string{"KAFKA_BOOTSTRAP_SERVERS=k:1", "MANAGEMENT_API_URL=http://m", "ACK_TIMEOUT=10s"},
			[]string{"ACK_TIMEOUT (10s) must be shorter than SHUTDOWN_TIMEOUT (10s)"},
		},
		"addresses that no browser can follow": {
			[]string{"KAFKA_BOOTSTRAP_SERVERS=k:1", "MANAGEMENT_API_URL=http://m", "VIEWER_URL=javascript:alert(1)", "TRACE_URL=traces/{id}"},
			[]string{`VIEWER_URL`, `"javascript:alert(1)" is neither`, `TRACE_URL`, `"traces/{id}" is neither`},
		},
		"the address of no trace": {
			[]string{"KAFKA_BOOTSTRAP_SERVERS=k:1", "MANAGEMENT_API_URL=http://m", "TRACE_URL=http://jaeger/trace"},
			[]string{`TRACE_URL: "http://jaeger/trace" has no {id}`},
		},
		"a URL with a query": {
			[]string{"KAFKA_BOOTSTRAP_SERVERS=k:1", "MANAGEMENT_API_URL=http://m?x=1"},
			[]string{"MANAGEMENT_API_URL"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := run(t.Context(), tt.environ, t.Output())
			if err == nil {
				t.Fatal("started")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in:\n%v", want, err)
				}
			}
		})
	}
}
