package main

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A coordinator that deletes the offsets of a recreated topic late also deletes those
// that it has acknowledged since. They are committed again without a new order.
func TestOffsetsThatTheCoordinatorDeletedAreCommittedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	if w.Embedded == nil {
		t.Skip("only the embedded broker can be told to forget")
	}
	var forgets atomic.Bool
	var forgotten atomic.Int64
	forgets.Store(true)
	w.Embedded.Cluster.ControlKey(int16(kmsg.TxnOffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if !forgets.Load() {
			return nil, nil, false
		}
		w.Embedded.Cluster.KeepControl()
		asked := r.(*kmsg.TxnOffsetCommitRequest)
		answer := asked.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
		for _, topic := range asked.Topics {
			accepted := kmsg.NewTxnOffsetCommitResponseTopic()
			accepted.Topic = topic.Topic
			for _, partition := range topic.Partitions {
				p := kmsg.NewTxnOffsetCommitResponseTopicPartition()
				p.Partition = partition.Partition
				accepted.Partitions = append(accepted.Partitions, p)
				forgotten.Add(partition.Offset)
			}
			answer.Topics = append(answer.Topics, accepted)
		}
		return answer, nil, true
	})
	orders := w.some(0, 60)
	w.Produce(t, orders...)
	w.start(t, "a")
	w.wantTotals(t, orders)
	if forgotten.Load() == 0 || w.committed(t) != 0 {
		t.Fatalf("offsets of %d were forgotten, and %d partitions have some", forgotten.Load(), w.committed(t))
	}
	forgets.Store(false)
	w.awaitDone(t)
	w.check(t)
}

// Brokers delete the offsets of a group that was empty for long. The consumer continues
// after the last order in the totals, and commits that position without a new order.
func TestOffsetsOfAGroupThatIsGoneAreCommittedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Produce(t, w.some(0, 60)...)
	w.start(t, "a").stoppedAfter(t, w)
	if _, err := w.Admin().DeleteGroups(t.Context(), w.group); err != nil {
		t.Fatal(err)
	}
	i := w.start(t, "a")
	w.check(t)
	if got := i.metric(t, "orders_already_counted_total"); got != 0 {
		t.Errorf("%v orders were read again", got)
	}
}

// Offsets without an order to count are no lag: of orders that were deleted before the
// group had an offset, and of the markers of others' transactions.
func TestWhatIsNoOrderIsNoLag(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Produce(t, w.some(0, 60)...)
	all := kadm.Offsets{}
	all.AddOffset(w.orders, 0, -1, -1)
	all.AddOffset(w.orders, 1, -1, -1)
	if _, err := w.Admin().DeleteRecords(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	w.start(t, "a")
	await(t, "the ends of the emptied partitions are committed", func() bool { return w.committedAtTheEnd(t) })

	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(w.BootstrapServers, ",")...), kgo.TransactionalID(w.group+"-another"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	orders := w.some(60, 40)
	if err := client.ProduceSync(t.Context(), orders...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	w.wantTotals(t, orders)
	await(t, "the offsets behind the markers are committed", func() bool { return w.committedAtTheEnd(t) })
}

// committedAtTheEnd reports whether the group's offsets are the ends of all partitions.
func (w *world) committedAtTheEnd(t testing.TB) bool {
	t.Helper()
	ends, err := w.Admin().ListEndOffsets(t.Context(), w.orders)
	if err != nil {
		t.Fatal(err)
	}
	committed, err := w.Admin().FetchOffsets(t.Context(), w.group)
	if err != nil {
		return false // there is no such group yet
	}
	for partition, end := range ends[w.orders] {
		if at, ok := committed.Lookup(w.orders, partition); !ok || at.At != end.Offset || end.Offset == 0 {
			return false
		}
	}
	return true
}

// committed returns how many partitions the group has offsets of.
func (w *world) committed(t testing.TB) int {
	t.Helper()
	offsets, err := w.Admin().FetchOffsets(t.Context(), w.group)
	if err != nil {
		t.Fatal(err)
	}
	return len(offsets.Offsets()[w.orders])
}
