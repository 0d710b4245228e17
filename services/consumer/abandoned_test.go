package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// If nothing with the transactional id of a dead instance comes back, its heir ends what it
// left open, long before Kafka would.
func TestTheHeirEndsTheTransactionOfADeadInstance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.Produce(t, w.some(0, 20_000)...)
	dead := w.killedInATransaction(t, "TRANSACTION_TIMEOUT=60s")

	start := time.Now()
	heir := w.start(t, "heir")
	w.check(t)
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("the orders were counted after %v", took)
	}
	ended := heir.out.Value("ended the open transaction of a dead instance", "transactional_id")
	if ended != w.group+"-"+dead {
		t.Errorf("it ended the transaction of %q, want that of %q", ended, dead)
	}
	if got := heir.metric(t, "orders_already_counted_total"); got != 0 {
		t.Errorf("%v orders came twice", got)
	}
}

// Without the right to end it, the heir says so and waits for Kafka.
func TestTheTransactionOfADeadInstanceEndsWithoutTheRightToEndIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	if w.Embedded == nil {
		t.Skip("refuses requests of the embedded broker")
	}
	w.Produce(t, w.some(0, 20_000)...)
	w.Embedded.Cluster.ControlKey(int16(kmsg.DescribeTransactions), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.Embedded.Cluster.KeepControl()
		refused := kmsg.NewDescribeTransactionsResponseTransactionState()
		refused.TransactionalID = r.(*kmsg.DescribeTransactionsRequest).TransactionalIDs[0]
		refused.ErrorCode = kerr.TransactionalIDAuthorizationFailed.Code
		response := r.ResponseKind().(*kmsg.DescribeTransactionsResponse)
		response.TransactionStates = append(response.TransactionStates, refused)
		return response, nil, true
	})
	w.killedInATransaction(t, "TRANSACTION_TIMEOUT=8s")

	heir := w.start(t, "heir")
	w.check(t)
	if log := heir.out.String(); !strings.Contains(log, "may not write with it: grant it (ACLS of topics)") || strings.Contains(log, "ended the open transaction") {
		t.Errorf("it doesn't say which right is missing:\n%s", heir.out.Without("DEBUG"))
	}
}

// killedInATransaction kills instances until one leaves the offset undecided that it had
// committed before, and returns its name.
func (w *world) killedInATransaction(t *testing.T, more ...string) string {
	t.Helper()
	for n := 0; ; n++ {
		name := fmt.Sprintf("dead %d", n) // an id may contain anything
		p := w.spawn(t, name, append(more, "BATCH_SIZE=20", "BATCH_LINGER=0s")...)
		await(t, "it has committed, and is in a transaction", func() bool { return p.batches() > 0 && w.undecided(t) > 0 })
		p.kill()
		w.expel(t)
		if w.undecided(t) > 0 {
			return name
		}
	}
}

// undecided returns how many of the group's offsets an open transaction may change.
func (w *world) undecided(t testing.TB) (n int) {
	t.Helper()
	offsets, err := w.Admin().FetchOffsets(kadm.RequireStable(t.Context()), w.group)
	if err != nil {
		t.Fatal(err)
	}
	offsets.EachError(func(kadm.OffsetResponse) { n++ })
	return n
}

// An offset can be undecided because of another instance than the one that committed it last.
// That one may be alive, and must not be fenced.
func TestALivingInstanceIsNotTakenForTheDeadOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Produce(t, w.some(0, 100)...)
	living := w.start(t, "living")
	w.check(t)
	release := w.leaveUndecided(t)
	heir := w.start(t, "heir")
	made := 100
	await(t, "the heir waits, while the other one counts", func() bool {
		w.Produce(t, w.some(made, 10)...)
		made += 10
		return strings.Contains(heir.out.String(), `"partitions can't be restored yet"`)
	})
	release()
	w.check(t)
	await(t, "both have partitions", func() bool { return w.stable(t, 2) })
	if log := heir.out.String(); strings.Contains(log, "ended the open transaction") {
		t.Errorf("the heir ended a transaction:\n%s", log)
	}
	living.stopped(t)
}

// leaveUndecided adds the group's offsets to a transaction of somebody else, and returns how
// to abort it.
func (w *world) leaveUndecided(t *testing.T) (abort func()) {
	t.Helper()
	id := w.group + "-another"
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(w.BootstrapServers, ",")...), kgo.TransactionalID(id), kgo.TransactionTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	producer, epoch, err := client.ProducerID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	begin := kmsg.NewPtrAddOffsetsToTxnRequest()
	begin.TransactionalID, begin.ProducerID, begin.ProducerEpoch, begin.Group = id, producer, epoch, w.group
	if _, err := begin.RequestWith(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	topics, err := w.Admin().ListTopics(t.Context(), w.orders)
	if err != nil {
		t.Fatal(err)
	}
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = w.orders, topics[w.orders].ID
	for p := range topics[w.orders].Partitions {
		partition := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		partition.Partition, partition.Offset = p, 7
		topic.Partitions = append(topic.Partitions, partition)
	}
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.Group, commit.ProducerID, commit.ProducerEpoch, commit.Generation = id, w.group, producer, epoch, -1
	commit.Topics = append(commit.Topics, topic)
	if _, err := commit.RequestWith(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	if w.undecided(t) != 2 {
		t.Fatal("the offsets are not undecided")
	}
	return func() {
		end := kmsg.NewPtrEndTxnRequest()
		end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = id, producer, epoch, false
		if _, err := end.RequestWith(t.Context(), client); err != nil {
			t.Fatal(err)
		}
	}
}
