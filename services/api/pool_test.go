package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/testkit/brokertest"
)

// Callers leave at any moment, and the reader goes on to the next.
func TestLeavingCallersDoNoHarm(t *testing.T) {
	k := brokertest.Start(t)
	cfg, err := envconf.Load[config]([]string{"KAFKA_BOOTSTRAP_SERVERS=" + k.BootstrapServers})
	if err != nil {
		t.Fatal(err)
	}
	topic := k.Topic(t, "left", 6, nil)
	client := writer(t, k)
	var windows []window
	for i := range int32(6) {
		write(t, client, &kgo.Record{Topic: topic, Partition: i}, &kgo.Record{Topic: topic, Partition: i})
		windows = append(windows, window{i, 0, 2})
	}
	p := newPool(cfg.Kafka, 2, slog.New(slog.DiscardHandler))
	defer p.close()
	for i := range 200 {
		r, err := p.acquire(t.Context(), kafka.IsolationLevelReadCommitted)
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		if i%3 != 0 {
			leave()
		}
		n := 0
		err = r.fetch(ctx, topic, windows, func(record) error { n++; return nil })
		if i%3 == 0 && (err != nil || n != 12) {
			t.Fatalf("round %d: %d records, %v", i, n, err)
		}
		if i%3 == 2 {
			_ = r.fetch(ctx, topic, windows, func(record) error { return nil })
		}
		leave()
		p.release(r)
	}
	if p.size != 2 || len(p.idle) > 2 || len(p.slots) != 0 {
		t.Errorf("%d idle, %d in use", len(p.idle), len(p.slots))
	}
}

func TestPoolIsBoundedAndReplacesWhatFailed(t *testing.T) {
	k := brokertest.Start(t)
	cfg, err := envconf.Load[config]([]string{"KAFKA_BOOTSTRAP_SERVERS=" + k.BootstrapServers})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	p := newPool(cfg.Kafka, 2, log)
	made := 0
	p.create = func(isolation kafka.IsolationLevel) (*reader, error) {
		made++
		return newReader(cfg.Kafka, isolation, log)
	}
	defer p.close()
	acquire := func(isolation kafka.IsolationLevel) *reader {
		t.Helper()
		r, err := p.acquire(t.Context(), isolation)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	expect := func(want, idle int) {
		t.Helper()
		if made != want || len(p.idle) != idle {
			t.Errorf("made %d, idle %d; want %d, %d", made, len(p.idle), want, idle)
		}
	}
	committed, uncommitted := kafka.IsolationLevelReadCommitted, kafka.IsolationLevelReadUncommitted
	a := acquire(committed)
	p.release(a)
	if acquire(committed) != a {
		t.Error("a warm reader was not used again")
	}
	expect(1, 0)
	b := acquire(uncommitted)
	expect(2, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	if _, err := p.acquire(ctx, committed); !errors.Is(err, errSaturated) {
		t.Errorf("a third: %v", err)
	}
	a.failed = true
	p.release(a)
	p.release(b)
	expect(2, 1)
	c := acquire(committed)
	d := acquire(committed) // the uncommitted one makes room
	expect(4, 0)
	p.release(c)
	p.release(d)
	expect(4, 2)
	p.create = func(kafka.IsolationLevel) (*reader, error) { return nil, fmt.Errorf("no") }
	if _, err := p.acquire(t.Context(), uncommitted); err == nil || len(p.slots) != 0 {
		t.Errorf("a reader that can't be made: %v, %d in use", err, len(p.slots))
	}
}
