package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/testkit/brokertest"
)

// inPartition puts records into one partition, in their order.
func (p *platform) inPartition(t *testing.T, partition int32, records ...*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(p.kafka.BootstrapServers, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, r := range records {
		r.Partition = partition
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// committedAtTheEnd reports whether the group's offsets are exactly the ends of the
// partitions, in the current log.
func (p *platform) committedAtTheEnd(t *testing.T) bool {
	t.Helper()
	ends, err := p.kafka.Admin().ListEndOffsets(t.Context(), p.topic)
	if err != nil {
		t.Fatal(err)
	}
	committed, err := p.kafka.Admin().FetchOffsets(t.Context(), p.group)
	if err != nil {
		t.Fatal(err)
	}
	for partition, end := range ends[p.topic] {
		at, ok := committed.Lookup(p.topic, partition)
		if end.Offset > 0 && (!ok || at.At != end.Offset || !strings.Contains(at.Metadata, "log=")) {
			return false
		}
	}
	return true
}

func TestUnreadableBatchesBecomeDeadLetters(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	if p.kafka.Embedded == nil {
		t.Skip("real brokers refuse a batch that can't be read; the embedded one takes it")
	}
	events, records := purchases(t, p.topic, 40)
	p.inPartition(t, 1, records[:20]...)
	raw := brokertest.Batch{Codec: kgo.ZstdCompression(), Payload: []byte("garbage"), Count: 4}.Bytes(t)
	offset := p.kafka.ProduceRaw(t, p.topic, 1, raw)
	p.inPartition(t, 1, records[20:]...)

	s := start(t, p.environ())
	p.wantStored(t, events)
	eventually(t, "all offsets committed", func() bool { return p.committedAtTheEnd(t) })
	letters := p.kafka.Read(t, p.dlq)
	if len(letters) != 1 {
		t.Fatalf("%d letters, want 1", len(letters))
	}
	if !bytes.HasSuffix(letters[0].Value, []byte("garbage")) {
		t.Errorf("the letter's value is not the batch: %q", letters[0].Value)
	}
	for name, want := range map[string]string{
		"dlq-reason": "unreadable", "dlq-topic": p.topic, "dlq-partition": "1", "dlq-group": p.group,
		"dlq-offset": strconv.FormatInt(offset, 10), "dlq-last-offset": strconv.FormatInt(offset+3, 10),
	} {
		if got := header(letters[0], name); got != want {
			t.Errorf("header %s = %q, want %q", name, got, want)
		}
	}
	if got := s.metric(t, fmt.Sprintf(`dead_letters_total{reason="unreadable",topic=%q}`, p.topic)); got != 1 {
		t.Errorf("%v letters are counted", got)
	}
	if response, body := s.get(t, "/-/ready"); response.StatusCode != http.StatusOK {
		t.Errorf("ready = %d %s", response.StatusCode, body)
	}

	// There is nothing to put back, and no later run waits for it.
	if printed, summary, err := p.replay(t, "--all"); err != nil || len(printed) != 1 || !strings.Contains(summary, "1 letters read, 0 put back, 1 left, 0 failed") {
		t.Errorf("replay: %v, %s, %v", printed, summary, err)
	}
	if left := p.uncommitted(t, replayGroup, p.dlq); left != 0 {
		t.Errorf("replay-dlq waits for %d letters", left)
	}
}

// Not parallel: it measures what the process allocates.
func TestAHugeRecordIsNeverHeldInMemory(t *testing.T) {
	const size = 150 << 20
	p := newPlatform(t)
	events, records := purchases(t, p.topic, 20)
	p.inPartition(t, 0, records[:10]...)
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	head := []byte{0, 0, 0, 1} // attributes, time, offset, no key
	head = binary.AppendVarint(head, size)
	if _, err := w.Write(append(binary.AppendVarint(nil, int64(len(head)+size+1)), head...)); err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 1<<20)
	for range size / len(block) {
		if _, err := w.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write([]byte{0}); err != nil { // no headers
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	p.kafka.ProduceRaw(t, p.topic, 0, brokertest.Batch{Codec: kgo.GzipCompression(), Payload: bomb.Bytes(), Count: 1}.Bytes(t))
	p.inPartition(t, 0, records[10:]...)

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start(t, p.environ())
	p.wantStored(t, events)
	eventually(t, "all offsets committed", func() bool { return p.committedAtTheEnd(t) })
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > size/2 {
		t.Errorf("%d MiB were allocated for a record of %d MiB", took>>20, size>>20)
	}
	letters := p.kafka.Read(t, p.dlq)
	if len(letters) != 1 || header(letters[0], "dlq-reason") != "unreadable" || !strings.Contains(header(letters[0], "dlq-error"), "(size)") {
		t.Errorf("letters = %v", letters)
	}
}

func TestARecreatedTopicIsStoredFromItsBeginning(t *testing.T) {
	for _, size := range []int{90, 900} { // shorter than the old log, and longer
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t)
			old, records := purchases(t, p.topic, 300)
			s := start(t, p.environ())
			p.kafka.Produce(t, records...)
			p.wantStored(t, old)
			eventually(t, "the log of before committed", func() bool { return p.committedAtTheEnd(t) })

			p.kafka.RecreateTopic(t, p.topic, 3, nil)
			fresh, records := purchases(t, p.topic, size)
			for len(records) > 0 { // each acknowledged, while the service notices the change
				p.kafka.Produce(t, records[:10]...)
				records = records[10:]
			}
			p.wantStored(t, append(old, fresh...))
			eventually(t, "the log of today committed", func() bool { return p.committedAtTheEnd(t) })

			// What is committed now is valid after a restart.
			if err := s.stop(); err != nil {
				t.Error(err)
			}
			s = start(t, p.environ())
			more, records := purchases(t, p.topic, 30)
			p.kafka.Produce(t, records...)
			p.wantStored(t, append(append(old, fresh...), more...))
			if got := s.metric(t, "purchases_duplicate_total"); got != 0 {
				t.Errorf("%v purchases were read again", got)
			}
		})
	}
}

// The service was stopped while the topic was recreated.
func TestATopicRecreatedMeanwhileIsStoredFromItsBeginning(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	old, records := purchases(t, p.topic, 60)
	s := start(t, p.environ())
	p.kafka.Produce(t, records...)
	p.wantStored(t, old)
	eventually(t, "the log of before committed", func() bool { return p.committedAtTheEnd(t) })
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	p.kafka.RecreateTopic(t, p.topic, 3, nil)
	fresh, records := purchases(t, p.topic, 600)
	p.kafka.Produce(t, records...)
	start(t, p.environ())
	p.wantStored(t, append(old, fresh...))
	eventually(t, "the log of today committed", func() bool { return p.committedAtTheEnd(t) })
}

func TestAnOffsetBehindTheEndIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	events, records := purchases(t, p.topic, 60)
	p.kafka.Produce(t, records...)
	offsets := kadm.Offsets{}
	for partition := range int32(3) {
		offsets.AddOffset(p.topic, partition, 1000, -1)
	}
	if _, err := p.kafka.Admin().CommitOffsets(t.Context(), p.group, offsets); err != nil {
		t.Fatal(err)
	}
	s := start(t, p.environ())
	p.wantStored(t, events)
	eventually(t, "all offsets committed", func() bool { return p.committedAtTheEnd(t) })
	if got := s.metric(t, fmt.Sprintf(`kafka_log_changes_total{kind="cut_back",topic=%q}`, p.topic)); got != 3 {
		t.Errorf("%v changes are counted, want 3", got)
	}
}
