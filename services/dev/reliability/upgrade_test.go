package main

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"shopstream/services/internal/retry"
)

// olderRelease is the oldest that the tests upgrade from.
const olderRelease = "4.1.2"

// Kafka is upgraded under load, goes back to the older release as long as the features
// are not finalized, is upgraded again, and is finalized: no shopper is refused,
// nothing is lost, and no partition falls below its min.insync.replicas.
func TestAnUpgradeOfKafkaUnderLoad(t *testing.T) {
	s := ownStage(t, manifestOrSkip(t), olderRelease)
	urls := startGuards(t, s)
	load, sampled := loaded(t, s)
	older := features(t, s)

	for _, release := range []string{"", olderRelease, ""} {
		if err := s.brokers.Use(t.Context(), release); err != nil {
			t.Fatal(err)
		}
		roll(t, s, urls)
		if now := features(t, s); !maps.Equal(now, older) {
			t.Errorf("features are %v after a restart, and were %v", now, older)
		}
	}
	runTopics(t, s, 3, "finalize")
	newer := features(t, s)
	t.Logf("finalized %v, then %v", older, newer)
	if newer["metadata.version"] <= older["metadata.version"] || newer["kraft.version"] != older["kraft.version"] {
		t.Errorf("features are %v after finalizing, and were %v", newer, older)
	}
	retry.Sleep(t.Context(), 5*time.Second)
	judge(t, load, sampled)
}

// features are what the cluster's features are finalized at.
func features(t *testing.T, s *stage) map[string]int {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(runTopics(t, s, s.brokers.Nodes(), "features")), "\n")
	var levels map[string]int
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &levels); err != nil || len(levels) == 0 {
		t.Fatalf("features: %v, %v", lines, err)
	}
	return levels
}
