// Package brokertest gives a test its Kafka: an embedded broker, or the one at
// KAFKA_BOOTSTRAP_SERVERS if that is set. Tests use unique topics, so that they can
// share a broker and run again.
package brokertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/retry"
	"shopstream/services/internal/testkit/broker"
)

// Kafka is a broker for one test. It uses an independent client (franz-go), so that what
// it reads doesn't depend on the code under test.
type Kafka struct {
	// BootstrapServers is the list for the service under test.
	BootstrapServers string
	// Embedded is nil with an external broker: tests that inject faults into the
	// embedded one are then skipped.
	Embedded *broker.Broker

	client *kgo.Client
	admin  *kadm.Client
}

// Start returns a broker that stops with the test.
func Start(t testing.TB) *Kafka {
	t.Helper()
	return StartCluster(t, 1)
}

// StartCluster returns as many brokers, which stop with the test. Outside ones are as
// many as they are.
func StartCluster(t testing.TB, brokers int) *Kafka {
	t.Helper()
	k := &Kafka{BootstrapServers: os.Getenv("KAFKA_BOOTSTRAP_SERVERS")}
	if k.BootstrapServers == "" {
		b, err := broker.Start(broker.Options{Brokers: brokers})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		k.Embedded, k.BootstrapServers = b, b.BootstrapServers()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(k.BootstrapServers, ",")...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.MetadataMinAge(50*time.Millisecond), // the admin client answers from a cache of up to this age
		kgo.UnknownTopicRetries(-1))             // real brokers know a topic only some time after it was created
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	k.client, k.admin = client, kadm.NewClient(client)
	return k
}

// Unique returns prefix with a suffix that no other test has.
func Unique(prefix string) string { return prefix + "-" + uuid.NewString()[:8] }

// Topic creates a topic with a unique name that starts with prefix.
func (k *Kafka) Topic(t testing.TB, prefix string, partitions int32, config map[string]string) string {
	t.Helper()
	topic := Unique(prefix)
	k.CreateTopic(t, topic, partitions, config)
	return topic
}

// CreateTopic creates a topic with exactly this name.
func (k *Kafka) CreateTopic(t testing.TB, topic string, partitions int32, config map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	pointers := map[string]*string{}
	for key, value := range config {
		pointers[key] = kadm.StringPtr(value)
	}
	if _, err := k.admin.CreateTopic(ctx, partitions, -1, pointers, topic); err != nil {
		t.Fatalf("creating topic %q: %v", topic, err)
	}
	if err := k.awaitEverywhere(ctx, topic, int(partitions)); err != nil {
		t.Fatalf("creating topic %q: %v", topic, err)
	}
}

// RecreateTopic deletes a topic and at once creates another with the same name.
func (k *Kafka) RecreateTopic(t testing.TB, topic string, partitions int32, config map[string]string) {
	t.Helper()
	if _, err := k.admin.DeleteTopic(context.Background(), topic); err != nil {
		t.Fatalf("deleting topic %q: %v", topic, err)
	}
	k.CreateTopic(t, topic, partitions, config)
	k.client.PurgeTopicsFromClient(topic) // else it writes to the deleted topic
}

// GrowTopic adds partitions to a topic up to the given number.
func (k *Kafka) GrowTopic(t testing.TB, topic string, partitions int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := k.admin.UpdatePartitions(ctx, partitions, topic); err != nil {
		t.Fatalf("adding partitions to topic %q: %v", topic, err)
	}
	if err := k.awaitEverywhere(ctx, topic, partitions); err != nil {
		t.Fatalf("adding partitions to topic %q: %v", topic, err)
	}
}

// awaitEverywhere waits until every broker knows a leader for every partition: real
// brokers learn of a topic one after the other.
func (k *Kafka) awaitEverywhere(ctx context.Context, topic string, partitions int) error {
	brokers, err := k.admin.ListBrokers(ctx)
	if err != nil {
		return err
	}
	request := kmsg.NewPtrMetadataRequest()
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	request.Topics = append(request.Topics, asked)
	for _, broker := range brokers {
		for known := false; !known; {
			answer, err := k.client.Broker(int(broker.NodeID)).RetriableRequest(ctx, request)
			if err != nil {
				return fmt.Errorf("requesting its metadata from broker %d: %w", broker.NodeID, err)
			}
			if known = led(answer.(*kmsg.MetadataResponse), partitions); known {
				break
			}
			if !retry.Sleep(ctx, 20*time.Millisecond) {
				return fmt.Errorf("broker %d doesn't know it: %w", broker.NodeID, ctx.Err())
			}
		}
	}
	return nil
}

// led reports whether the topic in a metadata response exists, with a leader for each
// partition.
func led(m *kmsg.MetadataResponse, partitions int) bool {
	return len(m.Topics) == 1 && m.Topics[0].ErrorCode == 0 && len(m.Topics[0].Partitions) == partitions &&
		!slices.ContainsFunc(m.Topics[0].Partitions, func(p kmsg.MetadataResponseTopicPartition) bool { return p.ErrorCode != 0 || p.Leader < 0 })
}

// Admin returns the admin client, for what the other methods don't cover.
func (k *Kafka) Admin() *kadm.Client { return k.admin }

// Produce writes records and waits for their acknowledgement. Records without a
// partition go to the one that their key determines.
func (k *Kafka) Produce(t testing.TB, records ...*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := k.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("producing: %v", err)
	}
}

// AwaitDecided waits until no transaction is open in a topic: a real coordinator answers
// a commit before every partition has its marker.
func (k *Kafka) AwaitDecided(t testing.TB, topic string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !k.decided(t, topic); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("a transaction in %q is still open", topic)
		}
	}
}

func (k *Kafka) decided(t testing.TB, topic string) bool {
	ends, err := k.admin.ListEndOffsets(t.Context(), topic)
	committed, committedErr := k.admin.ListCommittedOffsets(t.Context(), topic)
	if errors.Join(err, ends.Error(), committedErr, committed.Error()) != nil {
		return false
	}
	decided := true
	ends.Each(func(end kadm.ListedOffset) {
		at, ok := committed.Lookup(topic, end.Partition)
		decided = decided && ok && at.Offset >= end.Offset
	})
	return decided
}

// listed repeats a request until the response has every partition: one whose leader has
// just moved is left out at first.
func listed(t testing.TB, ctx context.Context, topic string, ask func(context.Context, ...string) (kadm.ListedOffsets, error)) kadm.ListedOffsets {
	t.Helper()
	for {
		offsets, err := ask(ctx, topic)
		if err = errors.Join(err, offsets.Error()); err == nil {
			return offsets
		}
		if !retry.Sleep(ctx, 50*time.Millisecond) {
			t.Fatalf("listing offsets of %q: %v", topic, err)
		}
	}
}

// Read returns all committed records of a topic, per partition by offset, as a plain
// consumer sees them.
func (k *Kafka) Read(t testing.TB, topic string, opts ...kgo.Opt) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// The last stable offset: it stays before an open transaction.
	ends := listed(t, ctx, topic, k.admin.ListCommittedOffsets)
	starts := listed(t, ctx, topic, k.admin.ListStartOffsets)
	position, end := map[int32]int64{}, map[int32]int64{}
	offsets := map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		start, _ := starts.Lookup(topic, o.Partition)
		if o.Offset > start.Offset {
			end[o.Partition], position[o.Partition] = o.Offset, start.Offset
			offsets[o.Partition] = kgo.NewOffset().At(start.Offset)
		}
	})
	if len(end) == 0 {
		return nil
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(strings.Split(k.BootstrapServers, ",")...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// Markers are requested too, so that a log that ends with one has an end.
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(200 * time.Millisecond),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	var records []*kgo.Record
	// Compaction may have removed the last record, so that nothing more comes. On a
	// busy machine the next record may take seconds.
	for quiet := time.Now(); len(position) > 0 && time.Since(quiet) < 15*time.Second; {
		poll, stop := context.WithTimeout(ctx, 500*time.Millisecond)
		fetches := client.PollFetches(poll)
		stop()
		if err := fetches.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("reading %q: %v", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			quiet = time.Now()
			if r.Offset >= end[r.Partition] {
				return
			}
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
			if r.Offset >= end[r.Partition]-1 {
				delete(position, r.Partition)
			}
		})
	}
	return records
}
