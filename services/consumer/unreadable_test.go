package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/testkit/brokertest"
)

// wantLetter waits for the only dead letter, of an unreadable batch.
func (w *world) wantLetter(t testing.TB, first, last int64) *kgo.Record {
	t.Helper()
	var letters []*kgo.Record
	await(t, "there is a dead letter", func() bool { letters = w.Read(t, w.letters); return len(letters) > 0 })
	if len(letters) != 1 {
		t.Fatalf("%d dead letters, want 1", len(letters))
	}
	for name, want := range map[string]string{
		"dlq-reason": "unreadable", "dlq-topic": w.orders, "dlq-topic-id": w.topicID(t, w.orders), "dlq-partition": "0",
		"dlq-offset": fmt.Sprint(first), "dlq-last-offset": fmt.Sprint(last), "dlq-group": w.group,
	} {
		if got := header(letters[0], name); got != want {
			t.Errorf("header %s = %q, want %q", name, got, want)
		}
	}
	return letters[0]
}

func TestUnreadableBatchesBecomeDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	if w.Embedded == nil {
		t.Skip("real brokers refuse a batch that can't be read; the embedded one takes it")
	}
	orders := w.some(0, 40)
	w.Produce(t, orders[:20]...)
	at := w.ProduceRaw(t, w.orders, 0, brokertest.Batch{Codec: kgo.ZstdCompression(), Payload: []byte("garbage"), Count: 4}.Bytes(t))
	w.Produce(t, orders[20:]...)
	i := w.start(t, "a")
	w.wantTotals(t, orders)
	if letter := w.wantLetter(t, at, at+3); !bytes.HasSuffix(letter.Value, []byte("garbage")) {
		t.Errorf("the letter's value is not the batch: %q", letter.Value)
	}
	await(t, "it is counted", func() bool { return i.metric(t, "dead_letters_total", `reason="unreadable"`) == 1 })
	i.stopped(t)

	// It isn't read again.
	w.Produce(t, w.some(40, 10)...)
	w.start(t, "a")
	w.wantTotals(t, orders, w.some(40, 10))
	w.wantLetter(t, at, at+3)
}

// Not parallel: it measures what the process allocates.
func TestAHugeRecordIsNeverHeldInMemory(t *testing.T) {
	const size = 150 << 20
	w := newWorld(t, 1)
	orders := w.some(0, 20)
	w.Produce(t, orders[:10]...)
	at := w.ProduceRaw(t, w.orders, 0, brokertest.Batch{Codec: kgo.GzipCompression(), Payload: bomb(t, size), Count: 1}.Bytes(t))
	w.Produce(t, orders[10:]...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w.start(t, "a")
	w.wantTotals(t, orders)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > size/2 {
		t.Errorf("%d MiB were allocated for a record of %d MiB", took>>20, size>>20)
	}
	if letter := w.wantLetter(t, at, at); !strings.Contains(header(letter, "dlq-error"), "(size)") {
		t.Errorf("dlq-error = %q", header(letter, "dlq-error"))
	}
}

// bomb returns one record whose value is that many zeros, compressed with gzip.
func bomb(t testing.TB, size int) []byte {
	t.Helper()
	head := []byte{0, 0, 0, 1} // attributes, time, offset, no key
	head = binary.AppendVarint(head, int64(size))
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	block := make([]byte, 1<<20)
	parts := [][]byte{binary.AppendVarint(nil, int64(len(head)+size+1)), head}
	for range size / len(block) {
		parts = append(parts, block)
	}
	for _, part := range append(parts, []byte{0}) { // no headers
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
