package main

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A coordinator acknowledges offsets and then deletes them, because it deletes those of a
// recreated topic late: they are committed again, although nothing is bought.
func TestOffsetsThatTheCoordinatorDeletedAreCommittedAgain(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	if p.kafka.Embedded == nil {
		t.Skip("only the embedded broker can be made to delete offsets")
	}
	var forgotten, remembers atomic.Int64
	p.kafka.Embedded.Cluster.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if remembers.Load() > 0 {
			return nil, nil, false
		}
		p.kafka.Embedded.Cluster.KeepControl()
		asked := r.(*kmsg.OffsetCommitRequest)
		answer := asked.ResponseKind().(*kmsg.OffsetCommitResponse)
		var sum int64
		for _, topic := range asked.Topics {
			accepted := kmsg.OffsetCommitResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
			for _, partition := range topic.Partitions {
				sum += partition.Offset
				accepted.Partitions = append(accepted.Partitions, kmsg.OffsetCommitResponseTopicPartition{Partition: partition.Partition})
			}
			answer.Topics = append(answer.Topics, accepted)
		}
		forgotten.Store(max(forgotten.Load(), sum))
		return answer, nil, true
	})
	events, records := purchases(t, p.topic, 60)
	p.inPartition(t, 0, records...)
	start(t, p.environ())
	p.wantStored(t, events)
	eventually(t, "the end was committed, and forgotten", func() bool { return forgotten.Load() == 60 })
	if p.committedAtTheEnd(t) {
		t.Fatal("nothing was forgotten")
	}
	remembers.Store(1)
	eventually(t, "the offsets committed again", func() bool { return p.committedAtTheEnd(t) })
}

// Offsets without a purchase to store are no lag: of those that expired before the group
// had an offset (or after the brokers had deleted it), and of the markers of others'
// transactions.
func TestWhatIsNoPurchaseIsNoLag(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	_, records := purchases(t, p.topic, 20)
	p.inPartition(t, 0, records...)
	if _, err := p.kafka.Admin().DeleteRecords(t.Context(), kadm.Offsets{p.topic: {0: {Topic: p.topic, At: 20}}}); err != nil {
		t.Fatal(err)
	}
	events, records := purchases(t, p.topic, 40)
	p.inPartition(t, 1, records[:20]...)
	start(t, p.environ())
	p.wantStored(t, events[:20])
	eventually(t, "the ends are committed", func() bool { return p.committedAtTheEnd(t) })
	p.inTransaction(t, records[20:]...)
	p.wantStored(t, events)
	eventually(t, "the offsets behind the markers are committed", func() bool { return p.committedAtTheEnd(t) })
}

// inTransaction produces records in a transaction, whose markers follow them in the log.
func (p *platform) inTransaction(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(p.kafka.BootstrapServers, ",")...), kgo.TransactionalID(p.group+"-another"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
}
