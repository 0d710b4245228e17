package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"shopstream/services/dev/reliability/cluster"
)

// A variable that the brokers don't know, or whose value they refuse, prevents the start and
// is named.
func TestWrongSettingsEndTheStart(t *testing.T) {
	declared, err := os.ReadFile(manifestOrSkip(t))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := cluster.ParseManifest(declared)
	if err != nil {
		t.Fatal(err)
	}
	for variable, value := range map[string]string{
		"KAFKA_MIN_INSYNC_REPLICA":  "2",   // a letter is missing
		"KAFKA_MIN_INSYNC_REPLICAS": "two", // not a number
	} {
		t.Run(variable, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			c, err := cluster.Start(ctx, cluster.Options{Manifest: manifest, Dir: t.TempDir(), Env: map[string]string{variable: value}})
			if err == nil {
				c.Close()
				t.Fatal("the brokers started")
			}
			if name := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, "KAFKA_"), "_", ".")); !strings.Contains(err.Error(), name) {
				t.Errorf("the error doesn't name %s: %v", name, err)
			}
		})
	}
}
