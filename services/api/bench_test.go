package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/testkit/brokertest"
)

// BenchmarkLastMessages compares a response with the least that the same records cost:
// a bare, warm consumer that lists the same offsets and reads the same windows, without
// order, paging, HTTP or JSON. The two run alternately, so that the ratio holds on a
// busy machine.
func BenchmarkLastMessages(b *testing.B) {
	for _, shape := range []struct{ partitions, backlog, limit int }{{6, 20_000, 10}, {6, 20_000, 100}, {50, 20_000, 100}} {
		b.Run(fmt.Sprintf("partitions=%d/limit=%d", shape.partitions, shape.limit), func(b *testing.B) {
			k := brokertest.Start(b)
			s := start(b, k.BootstrapServers)
			topic := k.Topic(b, "bench", int32(shape.partitions), nil)
			client := writer(b, k, kgo.ProducerLinger(5*time.Millisecond), kgo.ProducerBatchMaxBytes(100<<10))
			for range shape.backlog / 1000 {
				batch := make([]*kgo.Record, 1000)
				for i := range batch {
					batch[i] = &kgo.Record{Topic: topic, Partition: int32(i % shape.partitions), Value: []byte(strings.Repeat("x", 1000))}
				}
				write(b, client, batch...)
			}
			raw := newRaw(b, k.BootstrapServers, topic, shape.partitions)
			path := fmt.Sprintf("/messages?topic=%s&limit=%d", topic, shape.limit)
			s.messages(b, path)
			raw.read(b, shape.limit)

			var service, peer []time.Duration
			for b.Loop() {
				began := time.Now()
				if a := s.get(b, path); a.status != 200 {
					b.Fatal(a.status)
				}
				service = append(service, time.Since(began))
				began = time.Now()
				raw.read(b, shape.limit)
				peer = append(peer, time.Since(began))
			}
			slices.Sort(service)
			slices.Sort(peer)
			at := func(list []time.Duration, q float64) float64 {
				return float64(list[int(float64(len(list)-1)*q)].Microseconds()) / 1000
			}
			b.ReportMetric(0, "ns/op") // of both together, which means nothing
			b.ReportMetric(at(service, .5), "ms-p50")
			b.ReportMetric(at(service, .99), "ms-p99")
			b.ReportMetric(at(peer, .5), "raw-ms-p50")
			b.ReportMetric(at(peer, .99), "raw-ms-p99")
			b.ReportMetric(at(service, .5)/at(peer, .5), "ratio-p50")
		})
	}
}

// raw is the peer.
type raw struct {
	client client
	topic  string
	places []place
}

func newRaw(b *testing.B, servers, topic string, partitions int) *raw {
	b.Helper()
	cfg, err := envconf.Load[config]([]string{"KAFKA_BOOTSTRAP_SERVERS=" + servers})
	if err != nil {
		b.Fatal(err)
	}
	c, err := newClient(cfg.Kafka, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	if _, err := c.GetMetadata(&topic, false, 5000); err != nil { // so that the client knows the leaders
		b.Fatal(err)
	}
	p := &raw{client: c, topic: topic}
	for i := range partitions {
		p.places = append(p.places, place{topic, int32(i)})
	}
	return p
}

func (r *raw) read(b *testing.B, limit int) {
	extents, err := r.client.extents(context.Background(), r.places, kafka.IsolationLevelReadCommitted, true)
	if err != nil {
		b.Fatal(err)
	}
	left := 0
	var assignment []kafka.TopicPartition
	for p, e := range extents {
		from := max(e.low, e.end-int64(limit))
		left += int(e.end - from)
		assignment = append(assignment, kafka.TopicPartition{Topic: &r.topic, Partition: p.partition, Offset: kafka.Offset(from)})
	}
	if err := r.client.Assign(assignment); err != nil {
		b.Fatal(err)
	}
	for left > 0 {
		if _, ok := r.client.Poll(100).(*kafka.Message); ok {
			left--
		}
	}
	if err := r.client.Unassign(); err != nil {
		b.Fatal(err)
	}
}
