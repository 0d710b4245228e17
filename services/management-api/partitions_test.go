package main

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Purchases in partitions that were added are stored soon, without a restart.
func TestAddedPartitionsAreRead(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	start(t, p.environ())
	events, records := purchases(t, p.topic, 60)
	p.kafka.Produce(t, records[:30]...)
	p.wantStored(t, events[:30])

	p.kafka.GrowTopic(t, p.topic, 5)
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(p.kafka.BootstrapServers, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	for i, r := range records[30:] {
		r.Partition = int32(i % 5)
	}
	added := time.Now()
	if err := client.ProduceSync(t.Context(), records[30:]...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	p.wantStored(t, events)
	if took := time.Since(added); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	p.wantCommitted(t)
}
