package main

import (
	"context"
	"errors"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/testkit/brokertest"
)

// Callers may leave at any moment; their reader then serves the next.
func TestAbandonedReadersAreReleased(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "left", 6, nil)
	client := writer(t, k)
	var windows []window
	for i := range int32(6) {
		write(t, client, &kgo.Record{Topic: topic, Partition: i}, &kgo.Record{Topic: topic, Partition: i})
		windows = append(windows, window{i, 0, 2})
	}
	p := testPool(t, k.BootstrapServers, 2)
	for i := range 200 {
		r, err := p.acquire(t.Context(), kafka.IsolationLevelReadCommitted)
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		if i%3 != 0 {
			leave()
		}
		if _, err := r.locate(t.Context(), selection{topic: topic, partition: -1}); err != nil {
			t.Fatal(err)
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
	if len(p.slots) != 0 {
		t.Errorf("%d in use", len(p.slots))
	}
}

func TestPoolIsBounded(t *testing.T) {
	k := brokertest.Start(t)
	p := testPool(t, k.BootstrapServers, 2)
	a, err := p.acquire(t.Context(), kafka.IsolationLevelReadCommitted)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.acquire(t.Context(), kafka.IsolationLevelReadUncommitted); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	if _, err := p.acquire(ctx, kafka.IsolationLevelReadCommitted); !errors.Is(err, errSaturated) {
		t.Errorf("a third: %v", err)
	}
	p.release(a)
	if _, err := p.acquire(t.Context(), kafka.IsolationLevelReadCommitted); err != nil {
		t.Errorf("after one was released: %v", err)
	}
}

func testPool(t *testing.T, servers string, size int) *pool {
	t.Helper()
	cfg, err := envconf.Load[config]([]string{"KAFKA_BOOTSTRAP_SERVERS=" + servers})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPool(cfg.Kafka, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.direct.Close)
	return p
}
