package main

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"
)

// The tests here run on Apache Kafka's own brokers. `make test-kafka` sets
// KAFKA_MANIFEST to the brokers' StatefulSet as infra renders it.
func manifestOrSkip(t *testing.T) string {
	t.Helper()
	path := os.Getenv("KAFKA_MANIFEST")
	if path == "" {
		t.Skip("needs Apache Kafka's brokers: run `make test-kafka`")
	}
	return path
}

func buildServices(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "shopstream/services/web-server", "shopstream/services/management-api",
		"shopstream/services/consumer", "shopstream/services/producer", "shopstream/services/api", "shopstream/services/topics")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the services: %v\n%s", err, output)
	}
	return bin
}

// Every fault happens under load; afterwards every acknowledged purchase is
// stored once, each user's purchases are in order, and the totals are those
// of the orders.
func TestNothingIsLost(t *testing.T) {
	manifest := manifestOrSkip(t)
	bin := buildServices(t)
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			starting, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			s, err := newStage(starting, stageOptions{Manifest: manifest, Bin: bin, Dir: t.TempDir(), OrdersPerSecond: 50})
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()

			load, endLoad := context.WithCancel(t.Context())
			defer endLoad()
			buyers := newShoppers(s.platform.url("web-server"), 16, 50*time.Millisecond)
			done := make(chan struct{})
			go func() { defer close(done); buyers.buy(load) }()
			pause(load, 2*time.Second)

			injecting, cancelInject := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancelInject()
			if err := f.inject(injecting, s, rand.New(rand.NewPCG(1, 2))); err != nil {
				t.Fatal(err)
			}
			healed := time.Now()
			before := buyers.acknowledged()
			for buyers.acknowledged() < before+50 {
				if time.Since(healed) > time.Minute {
					t.Fatalf("a minute after the fault only %d more purchases are acknowledged", buyers.acknowledged()-before)
				}
				pause(load, 10*time.Millisecond)
			}
			t.Logf("fifty purchases acknowledged %s after the fault", time.Since(healed).Round(time.Millisecond))
			endLoad()
			<-done

			settling := time.Now()
			counted, audited, err := s.conclude(t.Context(), buyers)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("consumers caught up within %s", time.Since(settling).Round(time.Millisecond))
			for _, row := range counted.summary(audited) {
				t.Logf("%-18s %s", row[0], row[1])
			}
			if err := counted.faults(); err != nil {
				t.Error(err)
			}
			if err := audited.faults(); err != nil {
				t.Error(err)
			}
		})
	}
}
