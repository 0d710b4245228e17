package main

import (
	"strings"
	"testing"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/testkit/envconftest"
)

func TestEnvironmentIsDocumented(t *testing.T) { envconftest.Golden[config](t) }

func TestAllFaultsAreNamedAtOnce(t *testing.T) {
	_, err := envconf.Load[config]([]string{
		"KAFKA_BOOTSTRAP_SERVERS=kafka:9092", "DEFAULT_TOPIC=__consumer_offsets", "READ_TIMEOUT=0s", "READ_CONCURRENCY=0", "READ_BYTES_LIMIT=-1", "WAY_URL=/shop/way", "TRACE_URL=/trace",
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, name := range []string{"DEFAULT_TOPIC", "READ_TIMEOUT", "READ_CONCURRENCY", "READ_BYTES_LIMIT", "WAY_URL", "TRACE_URL"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
	if _, err := envconf.Load[config]([]string{"KAFKA_BOOTSTRAP_SERVERS=kafka:9092"}); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
}
