package main

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/testkit/brokertest"
)

// storeAgain runs store-again and returns its summary.
func (p *platform) storeAgain(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var stderr lockedBuffer
	err := storeAgain(t.Context(), args, p.environ(), &stderr)
	for text := range strings.Lines(stderr.String()) {
		if summary, ok := strings.CutPrefix(text, "store-again: "); ok {
			return strings.TrimSpace(summary), err
		}
	}
	t.Logf("store-again %q: %v\n%s", args, err, stderr.String())
	return "", err
}

func (p *platform) wantStoredAgain(t *testing.T, want string, args ...string) {
	t.Helper()
	if summary, err := p.storeAgain(t, args...); err != nil || !strings.HasSuffix(summary, want) {
		t.Errorf("store-again %q: %q, %v, want %q", args, summary, err, want)
	}
}

// The group's offsets were set beyond purchases that were never stored. The service keeps
// running.
func TestSkippedPurchasesAreStored(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	events, records := purchases(t, p.topic, 300)
	p.kafka.Produce(t, records[:200]...)
	p.kafka.Produce(t, &kgo.Record{Topic: p.topic, Value: []byte("poison")})
	ends, err := p.kafka.Admin().ListEndOffsets(t.Context(), p.topic)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.kafka.Admin().CommitAllOffsets(t.Context(), p.group, ends.Offsets()); err != nil {
		t.Fatal(err)
	}
	start(t, p.environ())
	p.kafka.Produce(t, records[200:]...)
	p.wantStored(t, events[200:])
	p.wantCommitted(t)

	p.wantStoredAgain(t, "301 records read of \""+p.topic+"\": 200 stored, 100 already stored, 1 refused, 0 unreadable")
	p.wantStored(t, events)
	p.wantStoredAgain(t, ": 0 stored, 300 already stored, 1 refused, 0 unreadable")
	if letters := p.kafka.Read(t, p.dlq); len(letters) != 0 {
		t.Errorf("%d dead letters were written", len(letters))
	}
	if left := p.uncommitted(t, p.group, p.topic); left != 0 {
		t.Errorf("the group's offsets have moved back by %d", left)
	}
}

func TestStoreAgainContinuesAfterUnreadableBatches(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	if p.kafka.Embedded == nil {
		t.Skip("real brokers refuse a batch that can't be read; the embedded one takes it")
	}
	events, records := purchases(t, p.topic, 20)
	p.inPartition(t, 1, records[:10]...)
	p.kafka.ProduceRaw(t, p.topic, 1, brokertest.Batch{Codec: kgo.ZstdCompression(), Payload: []byte("garbage"), Count: 4}.Bytes(t))
	p.inPartition(t, 1, records[10:]...)
	p.wantStoredAgain(t, ": 20 stored, 0 already stored, 0 refused, 1 unreadable")
	p.wantStored(t, events)
}

func TestStoreAgainFromATime(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	begin := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	events, records := purchases(t, p.topic, 30)
	for i, r := range records {
		r.Timestamp = begin.Add(time.Duration(i) * time.Second)
		p.inPartition(t, int32(i%2), r)
	}
	p.wantStoredAgain(t, ": 0 stored, 0 already stored, 0 refused, 0 unreadable", "-from", begin.Add(time.Hour).Format(time.RFC3339))
	p.wantStoredAgain(t, ": 10 stored, 0 already stored, 0 refused, 0 unreadable", "-from", begin.Add(20*time.Second).Format(time.RFC3339))
	p.wantStored(t, events[20:])
	p.wantStoredAgain(t, ": 20 stored, 10 already stored, 0 refused, 0 unreadable", "-from", "beginning")
	p.wantStored(t, events)
}

// Purchases without an id get the same one as from the service; in a copy of the topic it
// can't be determined.
func TestStoreAgainKnowsPurchasesWithoutAnID(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.kafka.Produce(t, p.idless(20)...)
	start(t, p.environ())
	eventually(t, "they are stored", func() bool { return p.storedCount(t) == 20 })
	p.wantStoredAgain(t, ": 0 stored, 20 already stored, 0 refused, 0 unreadable")

	duplicate := p.kafka.Topic(t, "copy", 3, nil)
	events, records := purchases(t, duplicate, 10)
	for _, r := range p.idless(20) {
		r.Topic = duplicate
		records = append(records, r)
	}
	p.kafka.Produce(t, records...)
	p.wantStoredAgain(t, ": 10 stored, 0 already stored, 20 refused, 0 unreadable", "-topic", duplicate)
	if got := p.storedCount(t); got != 20+len(events) {
		t.Errorf("%d are stored", got)
	}
}

// It doesn't wait for an open transaction, and doesn't store what was aborted.
func TestStoreAgainEndsBeforeAnOpenTransaction(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	events, records := purchases(t, p.topic, 4)
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(p.kafka.BootstrapServers, ",")...), kgo.TransactionalID(brokertest.Unique("id")),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	begin := func(r *kgo.Record) {
		t.Helper()
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	p.inPartition(t, 0, records[0])
	begin(records[1])
	if err := client.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	p.wantStoredAgain(t, ": 1 stored, 0 already stored, 0 refused, 0 unreadable") // the log ends with a marker
	begin(records[2])
	p.inPartition(t, 0, records[3])
	p.wantStoredAgain(t, ": 0 stored, 1 already stored, 0 refused, 0 unreadable")
	if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	p.kafka.AwaitDecided(t, p.topic)
	p.wantStoredAgain(t, ": 2 stored, 1 already stored, 0 refused, 0 unreadable")
	p.wantStored(t, append(events[:1:1], events[2:]...))
}

func TestStoreAgainFaults(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	for _, args := range [][]string{{"-from", "yesterday"}, {"-frobnicate"}, {"purchases"}, {"-topic", "nowhere"}} {
		if summary, err := p.storeAgain(t, args...); err == nil || summary != "" {
			t.Errorf("%q was accepted: %s", args, summary)
		}
	}
	if _, err := p.storeAgain(t, "-h"); err != nil {
		t.Errorf("help: %v", err)
	}
	p.wantStoredAgain(t, "0 records read of \""+p.topic+"\": 0 stored, 0 already stored, 0 refused, 0 unreadable")

	events, records := purchases(t, p.topic, 5)
	p.kafka.Produce(t, records...)
	proxy := p.throughProxy(t)
	proxy.cut()
	failed := make(chan error, 1)
	go func() {
		_, err := p.storeAgain(t)
		failed <- err
	}()
	time.AfterFunc(time.Second, proxy.restore)
	if err := <-failed; err != nil {
		t.Errorf("the database was unreachable for a moment: %v", err)
	}
	p.wantStored(t, events)
}
