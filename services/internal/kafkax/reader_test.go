package kafkax_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/testkit/brokertest"
)

func newReader(t *testing.T, k *brokertest.Kafka, rc kafkax.ReaderConfig) *kafkax.Reader {
	t.Helper()
	return newReaderOf(t, k.BootstrapServers, rc)
}

func newReaderOf(t *testing.T, servers string, rc kafkax.ReaderConfig) *kafkax.Reader {
	t.Helper()
	if rc.Limits == (kafkax.Limits{}) {
		rc.Limits = limits
	}
	r, err := kafkax.NewReader(kafkax.Config{BootstrapServers: servers, SecurityProtocol: "plaintext"}, rc, "test", slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// next polls until something is returned.
func next(t *testing.T, r *kafkax.Reader) any {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if e := r.Poll(time.Second); e != nil {
			return e
		}
	}
	t.Fatal("nothing comes")
	return nil
}

// nextValue polls for a message.
func nextValue(t *testing.T, r *kafkax.Reader) *kafka.Message {
	t.Helper()
	e := next(t, r)
	m, ok := e.(*kafka.Message)
	if !ok {
		t.Fatalf("want a message, got %#v", e)
	}
	return m
}

func values(topic string, partition int32, from, to int) []*kgo.Record {
	var records []*kgo.Record
	for i := from; i < to; i++ {
		records = append(records, &kgo.Record{Topic: topic, Partition: partition, Key: fmt.Append(nil, i), Value: fmt.Append(nil, i)})
	}
	return records
}

func TestPartitionsAreReadInOrder(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "read", 3, nil)
	const n = 20_000
	k.Produce(t, values(topic, 0, 0, n)...)
	r := newReader(t, k, kafkax.ReaderConfig{Topic: topic})
	r.Assign(map[int32]kafkax.Position{0: kafkax.Beginning(), 1: kafkax.Beginning(), 2: kafkax.Beginning()})
	seen, last := map[string]bool{}, map[int32]kafka.Offset{0: -1, 1: -1, 2: -1}
	for len(seen) < n {
		m := nextValue(t, r)
		if p := m.TopicPartition; p.Offset != last[p.Partition]+1 {
			t.Fatalf("offset %d of partition %d comes after %d", p.Offset, p.Partition, last[p.Partition])
		}
		last[m.TopicPartition.Partition] = m.TopicPartition.Offset
		seen[string(m.Value)] = true
	}
	for partition, offset := range last {
		r.Done(partition, int64(offset)+1)
	}
	var lag int64
	for _, l := range r.Lag() {
		lag += l
	}
	if lag != 0 || len(r.Lag()) != 3 {
		t.Errorf("all is read, and the lag is %v", r.Lag())
	}

	// A position in the middle of a batch, and an earlier one.
	r.Assign(map[int32]kafkax.Position{0: {Offset: 7, LeaderEpoch: -1}})
	r.Remove(1, 2)
	for offset := range kafka.Offset(5) {
		if m := nextValue(t, r); m.TopicPartition.Offset != 7+offset {
			t.Fatalf("got offset %d, want %d", m.TopicPartition.Offset, 7+offset)
		}
	}
}

func TestOnlyCommittedRecordsAreRead(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "transactions", 1, nil)
	client, err := kgo.NewClient(kgo.SeedBrokers(k.BootstrapServers), kgo.TransactionalID(brokertest.Unique("id")), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	transact := func(value string, commit kgo.TransactionEndTry) {
		t.Helper()
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	transact("a", kgo.TryCommit)
	transact("b", kgo.TryAbort)
	transact("c", kgo.TryCommit)
	k.Produce(t, &kgo.Record{Topic: topic, Value: []byte("d")})
	for committed, want := range map[bool]string{true: "acd", false: "abcd"} {
		r := newReader(t, k, kafkax.ReaderConfig{Topic: topic, Committed: committed})
		r.Assign(map[int32]kafkax.Position{0: kafkax.Beginning()})
		got := ""
		for len(got) < len(want) {
			got += string(nextValue(t, r).Value)
		}
		if got != want {
			t.Errorf("committed only, %v: %q, want %q", committed, got, want)
		}
	}
}

func TestWhatCantBeReadIsToldAndTheRestGoesOn(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "poison", 1, nil)
	k.Produce(t, values(topic, 0, 0, 3)...)
	garbage := k.ProduceRaw(t, topic, 0, brokertest.Batch{Codec: kgo.GzipCompression(), Payload: []byte("garbage"), Count: 4}.Bytes(t))
	k.Produce(t, values(topic, 0, 3, 5)...)
	text := bytes.Repeat([]byte("text "), 30<<20)
	bomb := k.ProduceRaw(t, topic, 0, brokertest.Batch{Codec: kgo.ZstdCompression(), Records: brokertest.Values([]byte("first"), text, []byte("last"))}.Bytes(t))
	k.Produce(t, values(topic, 0, 5, 6)...)

	r := newReader(t, k, kafkax.ReaderConfig{Topic: topic})
	r.Assign(map[int32]kafkax.Position{0: kafkax.Beginning()})
	var got []string
	for len(got) < 10 {
		switch e := next(t, r).(type) {
		case *kafka.Message:
			got = append(got, string(e.Value))
		case *kafkax.Unreadable:
			got = append(got, fmt.Sprintf("%s %d-%d", e.Cause, e.First, e.Last))
		}
	}
	want := fmt.Sprintf("0 1 2 codec %d-%d 3 4 first size %d-%d last 5", garbage, garbage+3, bomb+1, bomb+1)
	if s := strings.Join(got, " "); s != want {
		t.Errorf("%s\nwant %s", s, want)
	}
}

// A batch larger than the fetch's limit is returned too, also after others.
func TestLargeBatchesComeWhole(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "large", 2, map[string]string{"max.message.bytes": "4000000"})
	large := bytes.Repeat([]byte("x"), 900_000)
	for partition := range int32(2) {
		k.ProduceRaw(t, topic, partition, brokertest.Batch{Records: brokertest.Values([]byte("small"))}.Bytes(t))
		k.ProduceRaw(t, topic, partition, brokertest.Batch{Records: brokertest.Values(large)}.Bytes(t))
		k.ProduceRaw(t, topic, partition, brokertest.Batch{Records: brokertest.Values([]byte("small"))}.Bytes(t))
	}
	r := newReader(t, k, kafkax.ReaderConfig{Topic: topic})
	r.Assign(map[int32]kafkax.Position{0: kafkax.Beginning(), 1: kafkax.Beginning()})
	total := 0
	for range 6 {
		total += len(nextValue(t, r).Value)
	}
	if total != 2*len(large)+20 {
		t.Errorf("%d bytes", total)
	}
}

// What a codec keeps of a batch may be large although each record is small.
func TestReadersShareRoomForWhatTheyDecompress(t *testing.T) {
	k := brokertest.Start(t)
	text := bytes.Repeat([]byte("All work and no play makes Jack a dull boy. "), 1000)
	var many [][]byte
	for range 150 {
		many = append(many, text)
	}
	for name, batch := range map[string]brokertest.Batch{
		"one Snappy block":     {Codec: kgo.SnappyCompression(), Records: brokertest.Values(many...)},
		"a large zstd window":  {Window: 8 << 20, Records: brokertest.Values([]byte("first"), []byte("second"))},
		"a huge zstd window":   {Window: 128 << 20, Records: brokertest.Values([]byte("first"), []byte("second"))},
		"an LZ4 block of 4 MB": {Codec: kgo.Lz4Compression(), Records: brokertest.Values(many...)},
	} {
		t.Run(name, func(t *testing.T) {
			topic := k.Topic(t, "compressed", 1, nil)
			k.ProduceRaw(t, topic, 0, batch.Bytes(t))
			shared := limits
			shared.Blocks = kafkax.NewBlocks(1) // enough for one of any size
			const taken = 7 << 20
			if !shared.Blocks.TryAcquire(taken) {
				t.Fatal("there is no room for one")
			}
			r := newReader(t, k, kafkax.ReaderConfig{Topic: topic, Limits: shared})
			r.Assign(map[int32]kafkax.Position{0: kafkax.Beginning()})
			if e := r.Poll(500 * time.Millisecond); e != nil {
				t.Fatalf("without room it has read %v", e)
			}
			shared.Blocks.Release(taken)
			nextValue(t, r)
			if shared.Blocks.TryAcquire(8 << 20) {
				t.Fatal("half read, it takes no room")
			}
			r.Release()
			if !shared.Blocks.TryAcquire(8 << 20) {
				t.Error("the room was not returned")
			}
		})
	}
}

func TestARecreatedTopicIsReadFromItsBeginning(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "recreated", 1, nil)
	k.Produce(t, values(topic, 0, 0, 20)...)
	r := newReader(t, k, kafkax.ReaderConfig{Topic: topic})
	r.Assign(map[int32]kafkax.Position{0: kafkax.Beginning()})
	var last *kafka.Message
	for range 12 {
		last = nextValue(t, r)
	}
	position := kafkax.PositionOf(12, last.TopicPartition.Metadata)

	k.RecreateTopic(t, topic, 1, nil)
	k.Produce(t, values(topic, 0, 100, 130)...)
	want := func(r *kafkax.Reader) {
		t.Helper()
		// Records fetched from the old log may come first.
		e := next(t, r)
		for m, ok := e.(*kafka.Message); ok && string(m.Value) < "20"; m, ok = e.(*kafka.Message) {
			e = next(t, r)
		}
		change, ok := e.(*kafkax.LogChange)
		if !ok || change.Kind != kafkax.LogRecreated || change.To.Offset != 0 || change.From.Log != position.Log || change.To.Log == position.Log {
			t.Fatalf("want the change, got %#v", e)
		}
		for i := 100; i < 130; i++ {
			if m := nextValue(t, r); string(m.Value) != fmt.Sprint(i) || kafkax.PositionOf(0, m.TopicPartition.Metadata).Log != change.To.Log {
				t.Fatalf("%s in place of %d", m.Value, i)
			}
		}
	}
	want(r) // while running
	again := newReader(t, k, kafkax.ReaderConfig{Topic: topic})
	again.Assign(map[int32]kafkax.Position{0: position}) // and with a position from before
	want(again)
}

// The new log is longer than the old one, so that no offset is out of range.
func TestARecreatedTopicIsNoticedWhateverItsLength(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "recreated", 1, nil)
	k.Produce(t, values(topic, 0, 0, 5)...)
	r := newReader(t, k, kafkax.ReaderConfig{Topic: topic})
	r.Assign(map[int32]kafkax.Position{0: kafkax.Beginning()})
	for range 5 {
		nextValue(t, r)
	}
	k.RecreateTopic(t, topic, 1, nil)
	k.Produce(t, values(topic, 0, 100, 1100)...)
	if change, ok := next(t, r).(*kafkax.LogChange); !ok || change.Kind != kafkax.LogRecreated {
		t.Fatalf("want the change, got %#v", change)
	}
	if m := nextValue(t, r); string(m.Value) != "100" || m.TopicPartition.Offset != 0 {
		t.Errorf("reading continues at %d: %s", m.TopicPartition.Offset, m.Value)
	}
}

func TestAPositionOutsideOfTheLogIsTold(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "cut", 1, nil)
	k.Produce(t, values(topic, 0, 0, 10)...)
	cut := newReader(t, k, kafkax.ReaderConfig{Topic: topic})
	cut.Assign(map[int32]kafkax.Position{0: {Offset: 50, LeaderEpoch: -1}})
	if change, ok := next(t, cut).(*kafkax.LogChange); !ok || change.Kind != kafkax.LogCutBack || change.From.Offset != 50 || change.To.Offset != 0 {
		t.Errorf("beyond the end: %#v", change)
	}
	if m := nextValue(t, cut); m.TopicPartition.Offset != 0 {
		t.Errorf("reading continues at %d", m.TopicPartition.Offset)
	}

	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 6, -1)
	if _, err := k.Admin().DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	expired := newReader(t, k, kafkax.ReaderConfig{Topic: topic})
	expired.Assign(map[int32]kafkax.Position{0: {Offset: 2, LeaderEpoch: -1}})
	if change, ok := next(t, expired).(*kafkax.LogChange); !ok || change.Kind != kafkax.LogExpired || change.Unread != 4 || change.To.Offset != 6 {
		t.Errorf("before the beginning: %#v", change)
	}
	if m := nextValue(t, expired); m.TopicPartition.Offset != 6 {
		t.Errorf("reading continues at %d", m.TopicPartition.Offset)
	}
}

func TestLabels(t *testing.T) {
	p := kafkax.Position{Offset: 7, Log: "AbC-_1", LeaderEpoch: 3}
	label := "orders=12 " + p.Label()
	if got := kafkax.PositionOf(7, &label); got != p {
		t.Errorf("%q comes back as %+v", label, got)
	}
	for _, old := range []string{"", "orders=12", "nonsense epoch=x log"} {
		if got := kafkax.PositionOf(7, &old); got != (kafkax.Position{Offset: 7, LeaderEpoch: -1}) {
			t.Errorf("%q is read as %+v", old, got)
		}
	}
	if got := kafkax.PositionOf(7, nil); got.Log != "" || got.LeaderEpoch != -1 {
		t.Errorf("no metadata is read as %+v", got)
	}
}

// A message keeps the label of its own batch, whatever is read next.
func TestEachMessageKeepsItsLabel(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "labels", 1, nil)
	for n := range 2 {
		k.Produce(t, values(topic, 0, n, n+1)...)
		if n == 0 && k.Embedded != nil {
			if err := k.Embedded.Cluster.MoveTopicPartition(topic, 0, 0); err != nil { // another epoch
				t.Fatal(err)
			}
		}
	}
	r := newReader(t, k, kafkax.ReaderConfig{Topic: topic})
	r.Assign(map[int32]kafkax.Position{0: kafkax.Beginning()})
	first := nextValue(t, r)
	second := nextValue(t, r)
	for _, m := range []*kafka.Message{first, second} {
		if got := kafkax.PositionOf(0, m.TopicPartition.Metadata); got.LeaderEpoch != *m.TopicPartition.LeaderEpoch {
			t.Errorf("offset %v of epoch %d is labelled %+v", m.TopicPartition.Offset, *m.TopicPartition.LeaderEpoch, got)
		}
	}
	if k.Embedded != nil && *first.TopicPartition.LeaderEpoch == *second.TopicPartition.LeaderEpoch {
		t.Error("both have the same epoch: nothing was tested")
	}
}

// What was fetched before the topic was deleted may exist nowhere else.
func TestWhatWasFetchedOfARecreatedTopicIsReadFirst(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "recreated", 1, nil)
	for n := range 3 { // three batches, which come with one fetch
		k.Produce(t, values(topic, 0, 10*n, 10*n+10)...)
	}
	r := newReader(t, k, kafkax.ReaderConfig{Topic: topic})
	r.Assign(map[int32]kafkax.Position{0: kafkax.Beginning()})
	before := kafkax.PositionOf(0, nextValue(t, r).TopicPartition.Metadata).Log
	k.RecreateTopic(t, topic, 1, nil)
	k.Produce(t, values(topic, 0, 100, 110)...)
	for deadline := time.Now().Add(30 * time.Second); r.Positions()[0].Log == before; {
		if time.Now().After(deadline) {
			t.Fatal("the recreated topic is not noticed")
		}
		time.Sleep(5 * time.Millisecond)
	}
	for i := 1; i < 30; i++ {
		if m := nextValue(t, r); string(m.Value) != fmt.Sprint(i) {
			t.Fatalf("%s in place of %d", m.Value, i)
		}
	}
	change, ok := next(t, r).(*kafkax.LogChange)
	if !ok || change.Kind != kafkax.LogRecreated || change.From.Offset != 30 || change.Unread != 0 {
		t.Fatalf("want the change, got %#v", change)
	}
	if m := nextValue(t, r); string(m.Value) != "100" {
		t.Errorf("reading continues with %s", m.Value)
	}
}

// A position keeps its log, although the first broker that is asked still knows only the
// deleted topic.
func TestALaggingBrokerDoesNotChangeTheLog(t *testing.T) {
	k := brokertest.StartCluster(t, 3)
	topic := k.Topic(t, "recreated", 1, nil)
	before := k.Knowledge(t, topic)
	k.RecreateTopic(t, topic, 1, nil)
	k.Produce(t, values(topic, 0, 0, 10)...)
	first := newReader(t, k, kafkax.ReaderConfig{Topic: topic})
	first.Assign(map[int32]kafkax.Position{0: kafkax.Beginning()})
	position := kafkax.PositionOf(7, nextValue(t, first).TopicPartition.Metadata)

	lagging, release := k.LagBehind(t, before)
	second := newReaderOf(t, lagging, kafkax.ReaderConfig{Topic: topic})
	second.Assign(map[int32]kafkax.Position{0: position})
	for offset := kafka.Offset(7); offset < 10; offset++ {
		if m := nextValue(t, second); m.TopicPartition.Offset != offset {
			t.Fatalf("offset %d in place of %d", m.TopicPartition.Offset, offset)
		}
	}

	release()
	k.RecreateTopic(t, topic, 1, nil) // on which they agree
	if change, ok := next(t, second).(*kafkax.LogChange); !ok || change.Kind != kafkax.LogRecreated {
		t.Errorf("instead of the change comes %#v", change)
	}
}

func TestAgreedWantsMostBrokersAndNoContradiction(t *testing.T) {
	k := brokertest.StartCluster(t, 3)
	topic := k.Topic(t, "agreed", 1, nil)
	id := func() [16]byte {
		t.Helper()
		topics, err := k.Admin().ListTopics(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		return topics[topic].ID
	}
	before := id()
	client, err := kafkax.Config{BootstrapServers: k.BootstrapServers, SecurityProtocol: "plaintext"}.Direct("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	agreed := func(id [16]byte) error { return kafkax.Agreed(t.Context(), client, topic, id) }
	if err := agreed(before); err != nil {
		t.Errorf("all say the same: %v", err)
	}
	known := k.Knowledge(t, topic)
	k.RecreateTopic(t, topic, 1, nil)
	after := id()
	_, release := k.LagBehind(t, known)
	if err := agreed(before); err == nil {
		t.Error("one of three says so, and they agree")
	}
	if err := agreed(after); err == nil {
		t.Error("one of three says another id, and they agree")
	}
	release()
	if err := agreed(after); err != nil {
		t.Errorf("all say the same again: %v", err)
	}
	if err := agreed(before); err == nil {
		t.Error("the id of before is agreed on")
	}
}
