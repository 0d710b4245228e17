package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/testkit/collector"
)

// traceparent is the header of a record, with the trace and the span that it comes from.
func traceparent(n int) (trace, span string, header kgo.RecordHeader) {
	trace, span = fmt.Sprintf("%032x", n+1), fmt.Sprintf("%016x", n+1)
	return trace, span, kgo.RecordHeader{Key: "traceparent", Value: []byte("00-" + trace + "-" + span + "-01")}
}

func outcomeOf(s collector.Span) string { return s.Attributes["shopstream.outcome"] }

// Each purchase of a batch has its own trace, which shows that it was delivered twice. The
// batches, and their inserts, have others, linked to those of the purchases.
func TestTraceOfABatchThatIsDeliveredAgain(t *testing.T) {
	const count = 500
	c := collector.Start(t)
	p := newPlatform(t)
	database := p.throughProxy(t)
	p.traced = c.URL
	environ := p.environ("BATCH_SIZE="+fmt.Sprint(count), "BATCH_LINGER=10s")
	first := start(t, environ)
	eventually(t, "partitions assigned", func() bool { return first.logs.count(message("partitions assigned")) > 0 })
	database.cut()

	events, records := purchases(t, p.topic, count)
	for n, r := range records {
		_, _, header := traceparent(n)
		r.Headers = append(r.Headers, header)
	}
	p.kafka.Produce(t, records...)
	retried := first.logs.await(t, first.done, message("batch not stored yet, trying again"))
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	database.restore()
	start(t, environ)
	p.wantStored(t, events)

	stores := func(want string) []collector.Span {
		var found []collector.Span
		eventually(t, fmt.Sprintf("%d spans of purchases that were %s", count, want), func() bool {
			found = c.Select(func(s collector.Span) bool { return s.Name == "store "+p.topic && outcomeOf(s) == want })
			return len(found) == count
		})
		return found
	}
	batches := map[string]collector.Span{} // by outcome
	for _, want := range []string{"delivered again", "stored"} {
		found := stores(want)
		batch := c.Await(t, "the batch", func(s collector.Span) bool { return s.ID == found[0].Links[0] })
		batches[want] = batch
		seen := map[string]bool{}
		for _, s := range found {
			seen[s.Trace] = true
			if s.Parent != s.Trace[16:] || s.Kind != "CONSUMER" || !slices.Equal(s.Links, []string{batch.ID}) || !slices.Contains(batch.Links, s.Parent) {
				t.Fatalf("%+v is not below the span that sent it, and linked with its batch", s)
			}
			if got := slices.Contains(s.Events, "retry"); got != (want == "delivered again") {
				t.Fatalf("of a purchase that was %s, the events are %q", want, s.Events)
			}
		}
		if len(seen) != count || len(batch.Links) != count || seen[batch.Trace] || batch.Parent != "" {
			t.Errorf("a batch in trace %s with parent %q and %d links, for purchases of %d traces", batch.Trace, batch.Parent, len(batch.Links), len(seen))
		}
		for name, value := range map[string]string{
			"messaging.system": "kafka", "messaging.destination.name": p.topic, "messaging.consumer.group.name": p.group,
			"messaging.operation.type": "process", "messaging.operation.name": "process", "messaging.batch.message_count": fmt.Sprint(count),
		} {
			if got := batch.Attributes[name]; got != value {
				t.Errorf("the batch has %s %q, want %q", name, got, value)
			}
		}
	}
	again, stored := batches["delivered again"], batches["stored"]
	if !again.Failed || !slices.Contains(again.Events, "retry") || stored.Failed || len(stored.Events) > 0 {
		t.Errorf("the first batch %+v\nthe second %+v", again, stored)
	}
	if retried["trace_id"] != again.Trace {
		t.Errorf("the log line %v is not of trace %s", retried, again.Trace)
	}
	insert := c.Await(t, "the insert", func(s collector.Span) bool { return s.Parent == stored.ID })
	for name, value := range map[string]string{
		"db.system.name": "mongodb", "db.namespace": p.database, "db.collection.name": "purchases",
		"db.operation.name": "insert", "db.operation.batch.size": fmt.Sprint(count),
	} {
		if got := insert.Attributes[name]; got != value {
			t.Errorf("the insert has %s %q, want %q", name, got, value)
		}
	}
}

// A refused purchase, its dead letter and its replay are one trace; its header stays as
// it was.
func TestTraceOfADeadLetter(t *testing.T) {
	c := collector.Start(t)
	p := newPlatform(t)
	p.oneDLQ(t)
	p.traced = c.URL
	start(t, p.environ())
	events, records := purchases(t, p.topic, 1)
	whole := records[0].Value
	trace, origin, header := traceparent(0)
	records[0].Headers, records[0].Value = []kgo.RecordHeader{header}, []byte(strings.Replace(string(whole), `"price"`, `"cost"`, 1))
	p.kafka.Produce(t, records...)

	var letters []*kgo.Record
	eventually(t, "a dead letter", func() bool { letters = p.kafka.Read(t, p.dlq); return len(letters) == 1 })
	if got := slices.IndexFunc(letters[0].Headers, func(h kgo.RecordHeader) bool {
		return h.Key == "traceparent" && string(h.Value) == string(header.Value)
	}); got != 0 {
		t.Errorf("the letter's headers are %s", letters[0].Headers)
	}
	refused := c.Await(t, "the refusal", func(s collector.Span) bool { return s.Name == "store "+p.topic })
	if !refused.Failed || outcomeOf(refused) != "dead-lettered: invalid" || refused.Trace != trace || refused.Parent != origin {
		t.Errorf("refused: %+v", refused)
	}
	sent := c.Await(t, "the letter", func(s collector.Span) bool { return s.Name == "send "+p.dlq })
	if sent.Trace != trace || sent.Parent != origin || sent.Kind != "PRODUCER" || sent.Attributes["messaging.kafka.offset"] != "0" || sent.Attributes["messaging.destination.partition.id"] != "0" {
		t.Errorf("the letter: %+v", sent)
	}

	value := string(whole)
	if _, _, err := p.replay(t, "-mended", writeLines(t, line{Value: &value})); err != nil {
		t.Fatal(err)
	}
	p.wantStored(t, events)
	stored := c.Await(t, "the purchase", func(s collector.Span) bool { return outcomeOf(s) == "stored" })
	back := c.Await(t, "the replay", func(s collector.Span) bool { return s.Name == "send "+p.topic })
	if stored.Trace != trace || stored.Parent != origin || back.Trace != trace || back.Parent != origin {
		t.Errorf("put back: %+v\nstored: %+v", back, stored)
	}
}

// The letter of a record without a trace is not part of that of another one in the batch.
func TestALetterIsInNoOthersTrace(t *testing.T) {
	c := collector.Start(t)
	p := newPlatform(t)
	p.oneDLQ(t)
	p.traced = c.URL
	_, records := purchases(t, p.topic, 1)
	trace, _, header := traceparent(0)
	records[0].Headers = []kgo.RecordHeader{header}
	p.kafka.Produce(t, &kgo.Record{Topic: p.topic, Key: records[0].Key, Value: []byte("no purchase")}, records[0])
	start(t, p.environ("BATCH_LINGER=1s"))

	batch := c.Await(t, "the batch", func(s collector.Span) bool { return s.Name == "process "+p.topic })
	if batch.Trace != trace || batch.Attributes["messaging.batch.message_count"] != "2" {
		t.Fatalf("the batch: %+v", batch)
	}
	letters := p.kafka.Read(t, p.dlq)
	if len(letters) != 1 || slices.ContainsFunc(letters[0].Headers, func(h kgo.RecordHeader) bool { return h.Key == "traceparent" }) {
		t.Errorf("letters: %v", letters)
	}
}

// Without a collector nothing is added to a letter.
func TestNoTraceUnlessAsked(t *testing.T) {
	p := newPlatform(t)
	s := start(t, p.environ())
	p.kafka.Produce(t, &kgo.Record{Topic: p.topic, Value: []byte("no purchase")})
	var letters []*kgo.Record
	eventually(t, "a dead letter", func() bool { letters = p.kafka.Read(t, p.dlq); return len(letters) == 1 })
	for _, h := range letters[0].Headers {
		if !strings.HasPrefix(h.Key, "dlq-") {
			t.Errorf("header %s", h.Key)
		}
	}
	if _, body := s.get(t, "/metrics"); strings.Contains(string(body), "trace_spans") {
		t.Error("there are metrics of spans")
	}
}
