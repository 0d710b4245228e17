package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"shopstream/services/internal/retry"
)

// The tests here run on Apache Kafka's own brokers. `make test-kafka` sets KAFKA_MANIFEST to
// the brokers' StatefulSet as infra renders it.
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
		"shopstream/services/consumer", "shopstream/services/producer", "shopstream/services/api", "shopstream/services/topics", "shopstream/services/broker-guard")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the services: %v\n%s", err, output)
	}
	return bin
}

// Every fault is injected under load. Afterwards every acknowledged purchase is stored once,
// each user's purchases are in order, and the totals are those of the orders. The stage of
// one fault is reused for the next if it is still intact.
func TestNothingIsLost(t *testing.T) {
	stages := stages{manifest: manifestOrSkip(t), bin: buildServices(t)}
	t.Cleanup(stages.discard)
	var table strings.Builder
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			s := stages.take(t)
			defer func() {
				if t.Failed() {
					t.Logf("logs are kept in %s", s.dir)
					stages.fail()
				}
			}()
			r := try(t, s, f)
			fmt.Fprintf(&table, "| %s | %d | %d | %d | %d | %d | %s | %s | %s |\n", f.name, r.Acknowledged, r.Refused+r.Cut, r.New,
				len(r.Lost), len(r.Duplicates), r.Stall.Round(time.Millisecond), r.Recovery.Round(time.Millisecond), r.CatchUp.Round(time.Millisecond))
		})
	}
	t.Logf("as docs/reliability.md shows it:\n%s", table.String())
}

// try injects one fault under load and checks the result.
func try(t *testing.T, s *stage, f fault) result {
	t.Helper()
	load, err := s.begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	retry.Sleep(t.Context(), 2*time.Second)
	if err := s.inject(t.Context(), f, rand.New(rand.NewPCG(1, 2))); err != nil {
		t.Fatal(err)
	}
	recovery, err := load.recover(t.Context())
	if err != nil {
		t.Error(err)
	}
	r, err := load.conclude(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.Recovery = recovery
	t.Logf("fifty purchases acknowledged %s after the fault", recovery.Round(time.Millisecond))
	for _, row := range r.rows() {
		t.Logf("%-18s %s", row[0], row[1])
	}
	if err := r.faults(); err != nil {
		t.Error(err)
	}
	return r
}

// stages provides a stage, the same one until a test on it fails.
type stages struct {
	manifest, bin, release string
	current                *stage
}

func (s *stages) take(t *testing.T) *stage {
	t.Helper()
	if s.current != nil {
		return s.current
	}
	dir, err := os.MkdirTemp("", "shopstream-stage-")
	if err != nil {
		t.Fatal(err)
	}
	starting, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if s.current, err = newStage(starting, stageOptions{Manifest: s.manifest, Bin: s.bin, Dir: dir, Release: s.release}); err != nil {
		t.Fatalf("%v (logs are kept in %s)", err, dir)
	}
	return s.current
}

// fail ends the stage and keeps its folder, with the goroutines of each service.
func (s *stages) fail() {
	s.current.platform.dump()
	s.current.close()
	s.current = nil
}

// discard ends the stage, if there is one, and removes its folder.
func (s *stages) discard() {
	if s.current == nil {
		return
	}
	s.current.close()
	_ = os.RemoveAll(s.current.dir)
}
