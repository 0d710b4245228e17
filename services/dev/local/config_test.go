package main

import (
	"strings"
	"testing"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/testkit/envconftest"
)

func TestEnvironmentIsDocumented(t *testing.T) { envconftest.Golden[config](t) }

func TestConfigReportsEveryFault(t *testing.T) {
	_, err := envconf.Load[config]([]string{"KAFKA_PORT=0", "MONGO_PORT=70000", "REPLICATION_FACTOR=3", "STOP_TIMEOUT=0s"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"KAFKA_PORT", "MONGO_PORT", "REPLICATION_FACTOR must be 1", "STOP_TIMEOUT"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}
