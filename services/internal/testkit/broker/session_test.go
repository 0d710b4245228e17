package broker

import (
	"context"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/testkit/freeport"
)

// After an outage that is longer than the session of its members, a group gets its
// partitions again.
func TestAGroupOutlivesALongOutage(t *testing.T) {
	t.Parallel()
	options := Options{Ports: []int{freeport.Get(t)}, DataDir: t.TempDir()}
	b, err := Start(options)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.BootstrapServers()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(context.Background(), 3, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	member, err := kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": b.BootstrapServers(), "group.id": "readers", "group.protocol": "consumer"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = member.Close() }()
	if err := member.Subscribe("orders", nil); err != nil {
		t.Fatal(err)
	}
	holds := func(n int) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ; member.Poll(50) {
			if held, err := member.Assignment(); err == nil && len(held) == n {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("the member doesn't hold %d partitions", n)
			}
		}
	}
	holds(3)
	b.Close()
	for end := time.Now().Add(session + time.Second); time.Now().Before(end); {
		member.Poll(50)
	}
	if b, err = Start(options); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	holds(0) // fenced, as it was silent
	holds(3)
}
