package main

import (
	"bytes"
	"strings"
	"testing"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/testkit/envconftest"
)

func TestEnvironmentIsDocumented(t *testing.T) { envconftest.Golden[config](t) }

func TestBadConfigurationEndsTheStart(t *testing.T) {
	err := run(t.Context(), []string{"KAFKA_BOOTSTRAP_SERVERS=k:1", "RATE=NaN", "COUNT=-1", "INTERVAL=0s", "USERS=0", "EVENT=refund", "CURRENCY=euro"}, &bytes.Buffer{})
	for _, want := range []string{"RATE", "COUNT", "INTERVAL", "USERS", "EVENT", "CURRENCY"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %s: %v", want, err)
		}
	}
}

func TestTheEventFollowsTheTopic(t *testing.T) {
	for _, tt := range []struct {
		topic, event string
		purchases    bool
	}{{"orders", "", false}, {"purchases", "", true}, {"purchases-load", "", true}, {"purchases", "order", false}, {"orders", "purchase", true}} {
		cfg, err := envconf.Load[config]([]string{"KAFKA_BOOTSTRAP_SERVERS=k:1", "TOPIC=" + tt.topic, "EVENT=" + tt.event})
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.makesPurchases(); got != tt.purchases {
			t.Errorf("TOPIC=%s EVENT=%s makes purchases: %v", tt.topic, tt.event, got)
		}
	}
}
