package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

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
	t.Cleanup(func() { p.direct.Close(); p.wide.Close() })
	return p
}

// requestor answers questions once it may.
type requestor struct {
	asked  atomic.Int32
	answer chan struct{}
}

func (r *requestor) Request(context.Context, kmsg.Request) (kmsg.Response, error) {
	r.asked.Add(1)
	<-r.answer
	return kmsg.NewPtrMetadataResponse(), nil
}

// A caller that leaves makes room for the next reader, but what it asked Kafka goes on.
func TestQuestionsOfReadersThatHaveLeftAreLimited(t *testing.T) {
	const most = 4
	places, broker := make(chan struct{}, most), &requestor{answer: make(chan struct{})}
	for range 2 * most {
		ctx, leave := context.WithTimeout(t.Context(), 5*time.Millisecond)
		_, _, err := await(ctx, places, broker, kmsg.NewPtrMetadataRequest())
		if leave(); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("without an answer: %v", err)
		}
	}
	eventually(t, "the questions", func() bool { return broker.asked.Load() == most })
	close(broker.answer)
	for range 2 * most { // an answer has its place until it is read
		answer, leave, err := await(t.Context(), places, broker, kmsg.NewPtrMetadataRequest())
		if err != nil || answer == nil {
			t.Fatal(answer, err)
		}
		leave()
	}
	eventually(t, "all places to be free", func() bool { return len(places) == 0 })
}
