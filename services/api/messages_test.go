package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/testkit/brokertest"
)

// writer returns a client that writes to the partitions given in the records.
func writer(t testing.TB, k *brokertest.Kafka, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(strings.Split(k.BootstrapServers, ",")...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(4 << 20),
		kgo.MetadataMinAge(50 * time.Millisecond),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func write(t testing.TB, client *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// transaction writes records in a transaction and ends it, or leaves it open.
func transaction(t testing.TB, k *brokertest.Kafka, end string, records ...*kgo.Record) {
	t.Helper()
	client := writer(t, k, kgo.TransactionalID(brokertest.Unique("txn")))
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	write(t, client, records...)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	switch end {
	case "commit":
		if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		awaitMarkers(t, k, records)
	case "abort":
		if err := client.EndTransaction(ctx, kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
		awaitMarkers(t, k, records)
	case "open":
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_ = client.EndTransaction(ctx, kgo.TryAbort)
		})
	}
}

// awaitMarkers waits until the transaction's markers are in the records' partitions: a
// real coordinator answers before it has written them.
func awaitMarkers(t testing.TB, k *brokertest.Kafka, records []*kgo.Record) {
	t.Helper()
	eventually(t, "the transaction's markers", func() bool {
		ends, err := k.Admin().ListCommittedOffsets(t.Context(), records[0].Topic)
		if err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(records, func(r *kgo.Record) bool {
			end, ok := ends.Lookup(r.Topic, r.Partition)
			return !ok || end.Offset <= r.Offset
		})
	})
}

func deleteBefore(t testing.TB, k *brokertest.Kafka, topic string, partition int32, offset int64) {
	t.Helper()
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: topic, Partition: partition, At: offset})
	if result, err := k.Admin().DeleteRecords(t.Context(), offsets); err != nil || result.Error() != nil {
		t.Fatal(err, result.Error())
	}
}

// randomTopic writes a topic like those that occur: skewed, transactional, compacted,
// truncated, binary, with timestamps in order or not.
func randomTopic(t testing.TB, k *brokertest.Kafka, rng *rand.Rand) string {
	t.Helper()
	partitions := []int32{1, 2, 3, 6, 17, 50}[rng.IntN(6)]
	config := map[string]string{}
	compacted := rng.IntN(3) == 0
	if compacted {
		config["cleanup.policy"] = "compact"
		config["delete.retention.ms"] = "0"
	}
	if rng.IntN(4) == 0 {
		config["message.timestamp.type"] = "LogAppendTime"
	}
	topic := k.Topic(t, "random", partitions, config)
	disorder := []int{0, 1, 5000}[rng.IntN(3)]
	skew := rng.IntN(2) == 0
	base := time.Now().Add(-time.Hour).UnixMilli()
	n := 0
	next := func() *kgo.Record {
		n++
		r := &kgo.Record{
			Topic:     topic,
			Partition: rng.Int32N(partitions),
			Timestamp: time.UnixMilli(base + int64(n/3) + int64(rng.IntN(disorder+1))),
			Value:     fmt.Appendf(nil, "value %d", n),
		}
		if skew {
			r.Partition = rng.Int32N(1 + rng.Int32N(1+rng.Int32N(partitions)))
		}
		if compacted || rng.IntN(3) > 0 {
			r.Key = fmt.Appendf(nil, "key %d", rng.IntN(20))
		}
		switch rng.IntN(12) {
		case 0:
			r.Value = nil
		case 1:
			r.Value = []byte{}
		case 2:
			r.Value = []byte{0xff, 0, byte(n)}
		case 3:
			r.Headers = []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte{0xfe}}, {Key: "b"}, {Key: "c", Value: []byte{}}}
		case 4:
			r.Value = []byte(strings.Repeat("größer <&> 😀", rng.IntN(200)))
		}
		if !compacted && rng.IntN(12) == 0 {
			r.Key = []byte{0xc3, 0x28}
		}
		return r
	}
	plain := writer(t, k)
	for range 2 + rng.IntN(8) {
		batch := make([]*kgo.Record, 1+rng.IntN(60))
		for i := range batch {
			batch[i] = next()
		}
		switch rng.IntN(5) {
		case 0:
			transaction(t, k, "commit", batch...)
		case 1:
			transaction(t, k, "abort", batch...)
		default:
			write(t, plain, batch...)
		}
		if compacted && k.Embedded != nil && rng.IntN(3) == 0 {
			k.Embedded.Cluster.Compact()
		}
	}
	if !compacted && rng.IntN(3) == 0 {
		for p := range partitions {
			ends, err := k.Admin().ListEndOffsets(t.Context(), topic)
			if err != nil {
				t.Fatal(err)
			}
			if end, _ := ends.Lookup(topic, p); end.Offset > 0 && rng.IntN(2) == 0 {
				deleteBefore(t, k, topic, p, 1+rng.Int64N(end.Offset))
			}
		}
	}
	if rng.IntN(3) == 0 {
		transaction(t, k, "open", next(), next(), next())
		write(t, plain, next(), next())
	}
	return topic
}

// The guarantee: record by record the same as a plain consumer reads, for any topic and
// any limit, and pages that contain each record once.
func TestAnswersEqualWhatAPlainConsumerReads(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			topic := randomTopic(t, k, rng)
			s.check(t, k, topic)

			var want, got []string
			for _, r := range k.Read(t, topic) {
				want = append(want, asJSON(expected(r)))
			}
			for _, m := range s.pages(t, fmt.Sprintf("/messages?topic=%s&limit=%d", topic, 1+rng.IntN(50))) {
				got = append(got, asJSON(m))
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("the pages hold %d records, not the %d that a plain consumer reads", len(got), len(want))
			}
		})
	}
}

// Pages contain only what was there at the first page's request, and paging isn't
// disturbed by new records.
func TestPagingWhileTheTopicGrows(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "growing", 4, nil)
	client := writer(t, k)
	n := 0
	more := func(count int) {
		batch := make([]*kgo.Record, count)
		for i := range batch {
			batch[i] = &kgo.Record{Topic: topic, Partition: int32(n % 4), Value: fmt.Appendf(nil, "%d", n)}
			n++
		}
		write(t, client, batch...)
	}
	more(500)
	seen := map[string]int{}
	path := "/messages?limit=23&topic=" + topic
	for path != "" {
		list, a := s.messages(t, path)
		for _, m := range list {
			seen[*m.Value]++
		}
		path = a.next()
		more(31)
	}
	if len(seen) != 500 {
		t.Errorf("%d messages, not the 500 of the time of the first page", len(seen))
	}
	for value, count := range seen {
		if count != 1 {
			t.Errorf("message %s came %d times", value, count)
		}
	}
}

// A read returns what was there, however fast the topic grows.
func TestReadingWhileTheTopicGrows(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "busy", 3, nil)
	client := writer(t, k)
	write(t, client, &kgo.Record{Topic: topic})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		for i := int32(0); ctx.Err() == nil; i++ {
			_ = client.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: i % 3, Value: make([]byte, 200)}).FirstErr()
		}
	})
	for range 100 {
		list, a := s.messages(t, "/messages?limit=50&topic="+topic)
		if a.header.Get("X-Complete") != "true" {
			t.Fatalf("incomplete: %s", a.header.Get("X-Reason"))
		}
		for i := 1; i < len(list); i++ {
			if list[i-1].Timestamp < list[i].Timestamp {
				t.Fatalf("out of order: %s", brief(list))
			}
		}
	}
}

func TestTransactionsAndMarkers(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "txn", 2, nil)
	records := func(n int, value string) []*kgo.Record {
		list := make([]*kgo.Record, n)
		for i := range list {
			list[i] = &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: fmt.Appendf(nil, "%s %d", value, i)}
		}
		return list
	}
	transaction(t, k, "commit", records(20, "first")...)
	for range 30 {
		transaction(t, k, "abort", records(40, "aborted")...)
	}
	s.check(t, k, topic) // 20 records below 1,200 aborted ones

	for i := range 10 {
		transaction(t, k, "commit", records(2, fmt.Sprint("small ", i))...)
	}
	s.check(t, k, topic) // every third offset is a marker

	transaction(t, k, "open", records(4, "open")...)
	write(t, writer(t, k), records(4, "after the open one")...)
	s.check(t, k, topic)
	committed, _ := s.messages(t, "/messages?limit=1000&topic="+topic)
	all, _ := s.messages(t, "/messages?limit=1000&isolation=read_uncommitted&topic="+topic)
	// The uncommitted ones: those of the aborted and the open transaction, and the rest.
	if more := len(all) - min(len(committed), 1000); len(committed) != 40 || len(all) != 1000 {
		t.Errorf("%d committed, %d in all, %d more", len(committed), len(all), more)
	}
	newest, _ := s.messages(t, "/messages?limit=1&isolation=read_uncommitted&topic="+topic)
	if *newest[0].Value != "after the open one 3" {
		t.Errorf("the newest uncommitted is %q", *newest[0].Value)
	}
}

func TestLargeRecords(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers, "READ_BYTES_LIMIT=16777216")
	topic := k.Topic(t, "large", 3, map[string]string{"max.message.bytes": "2000000"})
	client := writer(t, k)
	for i := range 24 {
		write(t, client, &kgo.Record{Topic: topic, Partition: int32(i % 3), Key: fmt.Appendf(nil, "%d", i), Value: []byte(strings.Repeat("x", 1_000_000))})
	}
	s.check(t, k, topic, 5) // 15 MB of 16 MiB
	list, a := s.messages(t, "/messages?limit=20&topic="+topic)
	if a.header.Get("X-Complete") != "false" || a.header.Get("X-Reason") != reasonBytes || a.next() == "" {
		t.Errorf("headers %v", a.header)
	}
	// Fewer than requested, and exactly the last ones.
	if want := lastOf(k.Read(t, topic), len(list)); len(list) < 3 || brief(list) != brief(want) {
		t.Errorf("got %s\nwant %s", brief(list), brief(want))
	}
	if all := s.pages(t, "/messages?limit=20&topic="+topic); len(all) != 24 {
		t.Errorf("%d records over all pages", len(all))
	}
}

// The client stays connected: it must find new topics, and added partitions.
func TestNewTopicsAndPartitionsAreSeenAtOnce(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	client := writer(t, k)
	for range 3 {
		topic := k.Topic(t, "new", 2, nil)
		s.check(t, k, topic, 10)
		write(t, client, &kgo.Record{Topic: topic, Partition: 1})
		s.check(t, k, topic, 10)
		k.GrowTopic(t, topic, 4)
		fresh := writer(t, k) // it knows all four partitions
		write(t, fresh, &kgo.Record{Topic: topic, Partition: 3})
		start := time.Now()
		s.check(t, k, topic, 10)
		t.Logf("with partitions added: %v", time.Since(start))
	}
}

func TestFaultsAreAnswered(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers, "DEFAULT_TOPIC="+brokertest.Unique("absent"))
	topic := k.Topic(t, "there", 2, nil)
	other := k.Topic(t, "other", 2, nil)
	client := writer(t, k)
	for range 5 {
		write(t, client, &kgo.Record{Topic: topic}, &kgo.Record{Topic: other})
	}
	_, a := s.messages(t, "/messages?limit=2&topic="+other)
	foreign := a.next()[strings.Index(a.next(), "cursor="):]
	foreign, _, _ = strings.Cut(foreign, "&")

	tests := []struct {
		query  string
		status int
		fields string
	}{
		{"topic=" + topic, 200, ""},
		{"", 404, ""}, // the default topic
		{"topic=", 404, ""},
		{"topic=no-such-topic", 404, ""},
		{"topic=" + topic + "&partition=2", 404, ""},
		{"topic=__consumer_offsets", 403, ""},
		{"topic=" + topic + "&limit=1000", 200, ""},
		{"topic=" + topic + "&limit=1001", 400, "limit"},
		{"topic=" + topic + "&limit=0", 400, "limit"},
		{"topic=" + topic + "&limit=-1", 400, "limit"},
		{"topic=" + topic + "&limit=abc", 400, "limit"},
		{"topic=" + topic + "&limit=", 400, "limit"},
		{"topic=a%20b", 400, "topic"},
		{"topic=" + strings.Repeat("x", 250), 400, "topic"},
		{"topic=" + topic + "&partition=x&limit=x&isolation=x", 400, "limit partition isolation"},
		{"topic=" + topic + "&partition=2147483648", 400, "partition"},
		{"topic=" + topic + "&cursor=", 200, ""},
		{"topic=" + topic + "&cursor=%2B", 400, "cursor"},
		{"topic=" + topic + "&cursor=x", 404, "cursor"},
		{"topic=" + topic + "&" + foreign, 404, "cursor"},
		{"topic=" + other + "&partition=1&" + foreign, 404, "cursor"},
		{"topic=" + other + "&" + foreign, 200, ""},
	}
	for _, tt := range tests {
		a := s.get(t, "/messages?"+tt.query)
		if a.status != tt.status {
			t.Errorf("%s = %d %s, want %d", tt.query, a.status, a.body, tt.status)
			continue
		}
		if a.status == http.StatusOK {
			continue
		}
		var fields []string
		for _, f := range a.problem(t).Errors {
			fields = append(fields, f.Field)
		}
		if got := strings.Join(fields, " "); got != tt.fields {
			t.Errorf("%s names %q, want %q", tt.query, got, tt.fields)
		}
	}
	// Requesting a topic never creates it.
	topics, err := k.Admin().ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range topics.Names() {
		if strings.Contains(name, "no-such") || strings.HasPrefix(name, "absent") {
			t.Errorf("topic %s was created", name)
		}
	}
}

func TestOnePartition(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "one", 3, nil)
	client := writer(t, k)
	for i := range 30 {
		write(t, client, &kgo.Record{Topic: topic, Partition: int32(i % 3), Value: fmt.Appendf(nil, "%d", i)})
	}
	list := s.pages(t, "/messages?limit=4&partition=1&topic="+topic)
	if len(list) != 10 || *list[0].Value != "28" || *list[9].Value != "1" {
		t.Errorf("got %s", brief(list))
	}
}
