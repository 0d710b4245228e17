package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/testkit/broker"
	"shopstream/services/internal/testkit/brokertest"
	"shopstream/services/internal/testkit/freeport"
)

func TestTotalsAreTheSumOfTheOrders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	w.Produce(t, w.some(0, 2000)...)
	i := w.start(t, "a", "BATCH_SIZE=150")
	w.check(t)
	await(t, "the metrics tell", func() bool { return i.metric(t, "orders_counted_total") == 2000 })
	if got := i.metric(t, "consumer_messages_total"); got != 2000 {
		t.Errorf("consumer_messages_total = %v", got)
	}
	if got := i.metric(t, "transactions_total", `outcome="committed"`); got < 2000/150 {
		t.Errorf("transactions_total = %v", got)
	}
	if got := i.metric(t, "orders_already_counted_total"); got != 0 {
		t.Errorf("%v orders came twice", got)
	}
	await(t, "no lag is left, in four partitions", func() bool {
		text := get(t, i.url+"/metrics")
		return strings.Count(text, "kafka_consumer_lag{") == 4 && i.metric(t, "kafka_consumer_lag") == 0
	})
	await(t, "it is ready", func() bool { return strings.HasPrefix(get(t, i.url+"/-/ready"), "200 ") })

	// A clean stop leaves the group, and the next process continues.
	i.stopped(t)
	if n := w.members(t); n != 0 {
		t.Errorf("%d members after the stop", n)
	}
	w.Produce(t, w.some(2000, 500)...)
	again := w.start(t, "a")
	w.check(t)
	await(t, "the metrics tell", func() bool { return again.metric(t, "orders_counted_total") == 500 })
	if got := again.metric(t, "orders_already_counted_total"); got != 0 {
		t.Errorf("%v orders came twice", got)
	}
}

func TestPoisonGoesToTheDeadLettersAndNeverBlocks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	large := bytes.Repeat([]byte("x"), 999_900)
	poison := []*kgo.Record{
		{Key: []byte("k1"), Value: []byte("{not json")},
		{Key: []byte("k2"), Value: nil},
		{Key: nil, Value: []byte(`{"product":"","quantity":0}`), Headers: []kgo.RecordHeader{{Key: "traceparent", Value: []byte("00-1")}}},
		{Key: []byte("k4"), Value: []byte(`{"product":"Laptop","quantity":1,"schemaVersion":99}`)},
		{Key: []byte("k5"), Value: large},
	}
	var records []*kgo.Record
	for n, p := range poison {
		p.Topic = w.orders
		records = append(records, w.order(n, "Mouse", 2), p)
	}
	w.Produce(t, append(records, w.order(99, "Mouse", 2))...)

	i := w.start(t, "a")
	w.check(t)
	letters := map[string]*kgo.Record{}
	for _, r := range w.Read(t, w.letters) {
		letters[header(r, "dlq-offset")] = r
		if header(r, "dlq-topic") != w.orders || header(r, "dlq-partition") != "0" || header(r, "dlq-group") != w.group || header(r, "dlq-error") == "" {
			t.Errorf("headers %v", r.Headers)
		}
	}
	if len(letters) != len(poison) {
		t.Fatalf("%d dead letters, want %d", len(letters), len(poison))
	}
	for n, p := range poison {
		letter := letters[fmt.Sprint(2*n+1)]
		if letter == nil {
			t.Fatalf("no letter for offset %d", 2*n+1)
		}
		if n == 4 {
			if letter.Value != nil || !strings.Contains(header(letter, "dlq-error"), "value of 999900") {
				t.Errorf("the large letter: %d bytes, %q", len(letter.Value), header(letter, "dlq-error"))
			}
			continue
		}
		if !bytes.Equal(letter.Key, p.Key) || !bytes.Equal(letter.Value, p.Value) || (letter.Value == nil) != (p.Value == nil) {
			t.Errorf("letter %q %q, want %q %q", letter.Key, letter.Value, p.Key, p.Value)
		}
	}
	if got := header(letters["5"], "traceparent"); got != "00-1" {
		t.Errorf("a header of the source is %q", got)
	}
	if decode, invalid := i.metric(t, "dead_letters_total", `reason="decode"`), i.metric(t, "dead_letters_total", `reason="invalid"`); decode != 3 || invalid != 2 {
		t.Errorf("dead_letters_total = %v decode, %v invalid", decode, invalid)
	}
}

// refuseOffsets makes one transaction fail: its offsets come from an old generation.
func (w *world) refuseOffsets(nth int) {
	seen := 0
	w.Embedded.Cluster.ControlKey(int16(kmsg.TxnOffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		request := r.(*kmsg.TxnOffsetCommitRequest)
		w.Embedded.Cluster.KeepControl()
		if seen++; seen != nth {
			return nil, nil, false
		}
		response := r.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
		for _, topic := range request.Topics {
			answer := kmsg.NewTxnOffsetCommitResponseTopic()
			answer.Topic = topic.Topic
			for _, p := range topic.Partitions {
				partition := kmsg.NewTxnOffsetCommitResponseTopicPartition()
				partition.Partition, partition.ErrorCode = p.Partition, kerr.IllegalGeneration.Code
				answer.Partitions = append(answer.Partitions, partition)
			}
			response.Topics = append(response.Topics, answer)
		}
		return response, nil, true
	})
}

// refuseCommit makes one transaction fail once everything was produced.
func (w *world) refuseCommit(nth int) {
	seen := 0
	w.Embedded.Cluster.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.Embedded.Cluster.KeepControl()
		if !r.(*kmsg.EndTxnRequest).Commit {
			return nil, nil, false
		}
		if seen++; seen != nth {
			return nil, nil, false
		}
		response := r.ResponseKind().(*kmsg.EndTxnResponse)
		response.ErrorCode = kerr.UnknownServerError.Code
		return response, nil, true
	})
}

func TestAnAbortedTransactionLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	if w.Embedded == nil {
		t.Skip("injects faults into the embedded broker")
	}
	w.refuseOffsets(3)
	w.refuseCommit(4)
	records := w.some(0, 400)
	for n := range 20 {
		records[20*n].Value = []byte("poison")
	}
	w.Produce(t, records...)
	i := w.start(t, "a", "BATCH_SIZE=50")
	w.check(t)
	if got := len(w.Read(t, w.letters)); got != 20 {
		t.Errorf("%d dead letters, want 20: those of an aborted transaction must not stay", got)
	}
	if got := i.metric(t, "transactions_total", `outcome="aborted"`); got != 2 {
		t.Errorf("%v aborted transactions, want 2", got)
	}
	await(t, "all are counted once", func() bool { return i.metric(t, "orders_counted_total") == 380 })
}

func TestOrdersOfForeignTransactionsCountWhenCommitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	i := w.start(t, "a")
	transaction := func(end string, from int) {
		client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(w.BootstrapServers, ",")...), kgo.TransactionalID(brokertest.Unique("shop")), kgo.TransactionTimeout(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(t.Context(), w.some(from, 10)...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		switch end {
		case "commit":
			err = client.EndTransaction(t.Context(), kgo.TryCommit)
		case "abort":
			err = client.EndTransaction(t.Context(), kgo.TryAbort)
		} // or left open, until the broker aborts it
		if err != nil {
			t.Fatal(err)
		}
	}
	w.Produce(t, w.some(0, 10)...)
	transaction("abort", 10)
	transaction("commit", 20)
	transaction("abort", 30)
	w.Produce(t, w.some(40, 5)...)
	w.check(t)
	transaction("left open", 50)
	w.Produce(t, w.some(60, 5)...)
	// The open one hides what follows until the broker aborts it.
	await(t, "the orders after the open transaction are counted", func() bool { return i.metric(t, "orders_counted_total") == 30 })
	w.check(t)
	if got := i.metric(t, "orders_counted_total"); got != 30 {
		t.Errorf("%v orders counted, want 30", got)
	}
}

func TestAddedPartitionsAreRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Produce(t, w.some(0, 100)...)
	i := w.start(t, "a")
	w.check(t)
	w.GrowTopic(t, w.orders, 5)
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(w.BootstrapServers, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	records := w.some(100, 100)
	for n, r := range records {
		r.Partition = int32(n % 5)
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.check(t)
	if got := i.metric(t, "orders_counted_total"); got != 200 {
		t.Errorf("%v orders counted, want 200", got)
	}
}

func TestKafkaMayStartLater(t *testing.T) {
	port := freeport.Get(t)
	servers := fmt.Sprintf("127.0.0.1:%d", port)
	w := &world{Kafka: &brokertest.Kafka{BootstrapServers: servers}, orders: "orders", letters: "orders.dlq", totals: "product-totals", group: "g"}
	i := w.start(t, "a")
	if got := get(t, i.url+"/-/ready"); !strings.HasPrefix(got, fmt.Sprint(http.StatusServiceUnavailable)) {
		t.Errorf("ready without kafka: %s", got)
	}
	if got := get(t, i.url+"/health"); !strings.HasPrefix(got, "200 ") {
		t.Errorf("not alive without kafka: %s", got)
	}
	b, err := broker.Start(broker.Options{Ports: []int{port}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	t.Setenv("KAFKA_BOOTSTRAP_SERVERS", servers)
	w.Kafka = brokertest.Start(t)
	for _, topic := range []string{w.orders, w.letters, w.totals} {
		w.CreateTopic(t, topic, 2, nil)
	}
	w.Produce(t, w.some(0, 50)...)
	w.check(t)
	await(t, "it is ready", func() bool { return strings.HasPrefix(get(t, i.url+"/-/ready"), "200 ") })
}

func TestAStopWithoutKafkaIsBounded(t *testing.T) {
	t.Parallel()
	w := &world{Kafka: &brokertest.Kafka{BootstrapServers: "127.0.0.1:1"}, orders: "o", letters: "d", totals: "t", group: "g"}
	i := w.start(t, "a")
	start := time.Now()
	i.stopped(t)
	if took := time.Since(start); took > 20*time.Second { // each step has its time limit; a busy machine needs several
		t.Errorf("the stop took %v", took)
	}
}

func TestTwoProcessesWithOneTransactionalIDFenceEachOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	first := w.start(t, "same")
	w.Produce(t, w.some(0, 10)...)
	w.check(t)
	second := w.start(t, "same")
	await(t, "the second has begun", func() bool { return w.members(t) == 2 })
	w.Produce(t, w.some(10, 10)...)
	err := first.end(t)
	if err == nil || !strings.Contains(err.Error(), `another process uses TRANSACTIONAL_ID "`+w.group+`-same"`) {
		t.Errorf("err = %v", err)
	}
	w.check(t)
	second.stopped(t)
}

func TestOffsetsSetBackDontCountTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.Produce(t, w.some(0, 100)...)
	w.start(t, "a").stoppedAfter(t, w)
	offsets := kadm.Offsets{}
	offsets.AddOffset(w.orders, 0, 0, -1)
	offsets.AddOffset(w.orders, 1, 3, -1)
	if err := w.Admin().CommitAllOffsets(t.Context(), w.group, offsets); err != nil {
		t.Fatal(err)
	}
	w.Produce(t, w.some(100, 50)...)
	i := w.start(t, "a")
	w.check(t)
	await(t, "the new ones are counted", func() bool { return i.metric(t, "orders_counted_total") == 50 })
	if got := i.metric(t, "orders_already_counted_total"); got != 97 {
		t.Errorf("%v orders skipped, want 97", got)
	}
}

func (i *instance) stoppedAfter(t testing.TB, w *world) {
	t.Helper()
	w.check(t)
	i.stopped(t)
}

// A topic's ends are requested when partitions are assigned. No response doesn't mean that
// the topic is empty.
func TestALeaderThatDoesNotAnswerIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	if w.Embedded == nil {
		t.Skip("injects faults into the embedded broker")
	}
	w.Produce(t, w.some(0, 200)...)
	w.start(t, "a").stoppedAfter(t, w)
	var asked atomic.Int32
	w.Embedded.Cluster.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.Embedded.Cluster.KeepControl()
		return nil, nil, asked.Add(1) <= 2 // handled, with no response
	})
	w.Produce(t, w.some(200, 50)...)
	i := w.start(t, "a")
	await(t, "the new ones are counted", func() bool { return i.metric(t, "orders_counted_total") == 50 })
	w.check(t)
	if asked.Load() < 3 {
		t.Errorf("the ends were requested %d times", asked.Load())
	}
}

// To continue from incomplete totals would restart a product's total from less than it was.
func TestIncompleteTotalsAreNotUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.Produce(t, w.some(0, 100)...)
	w.start(t, "a").stoppedAfter(t, w)
	lost := w.Read(t, w.totals)[0].Partition
	// Records of a topic that is only compacted can't be deleted.
	policy := []kadm.AlterConfig{{Name: "cleanup.policy", Value: kadm.StringPtr("compact,delete")}}
	if _, err := w.Admin().AlterTopicConfigs(t.Context(), policy, w.totals); err != nil {
		t.Fatal(err)
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset(w.totals, lost, -1, -1) // -1 for all
	await(t, "the leader knows the policy and deletes", func() bool {
		deleted, err := w.Admin().DeleteRecords(t.Context(), offsets)
		return err == nil && deleted.Error() == nil
	})
	w.Produce(t, w.some(100, 10)...)
	i := w.start(t, "a")
	await(t, "it says what is wrong", func() bool { return strings.Contains(i.out.String(), "the last transaction says orders=100") })
	if got := i.metric(t, "orders_counted_total"); got != 0 {
		t.Errorf("%v orders counted", got)
	}
}

// Unreadable totals belong to no product: the seal shows what the totals must be.
func TestAnUnreadableTotalIsSkipped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.Produce(t, w.some(0, 100)...)
	w.start(t, "a").stoppedAfter(t, w)
	foreign := map[string]*kgo.Record{
		"no JSON":          {Key: []byte("Laptop@0"), Value: []byte("?")},
		"a newer schema":   {Key: []byte("Laptop@0"), Value: []byte(`{"product":"Laptop","partition":0,"schemaVersion":2}`)},
		"of another's key": {Key: []byte("Mouse@0"), Value: []byte(`{"product":"Laptop","partition":0,"orders":1000,"schemaVersion":1}`)},
	}
	for _, record := range foreign {
		record.Topic = w.totals
		w.Produce(t, record)
	}
	w.Produce(t, w.some(100, 50)...)
	i := w.start(t, "a")
	await(t, "the new ones are counted", func() bool { return i.metric(t, "orders_counted_total") == 50 })
	if got := strings.Count(i.out.String(), `"total skipped: it can't be decoded"`); got != len(foreign) {
		t.Errorf("%d totals are said to be passed over, want %d", got, len(foreign))
	}
	w.wantTotals(t, w.some(0, 150))
}
