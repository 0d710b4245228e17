package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/testkit/collector"
)

// The trace of each order shows that its first transaction was aborted, and what became
// of it in the second. The transactions are in the traces of their batches.
func TestTraceOfAnAbortedTransaction(t *testing.T) {
	t.Parallel()
	const orders, poison = 100, 5
	c, w := collector.Start(t), newWorld(t, 2)
	if w.Embedded == nil {
		t.Skip("injects faults into the embedded broker")
	}
	w.refuseCommit(1)
	records := w.some(0, orders)
	for n, r := range records {
		r.Headers = []kgo.RecordHeader{{Key: "traceparent", Value: fmt.Appendf(nil, "00-%032x-%016x-01", n+1, n+1)}}
		if n < poison {
			r.Value = []byte("poison")
		}
	}
	w.Produce(t, records...)
	w.start(t, "a", "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "BATCH_SIZE="+fmt.Sprint(orders), "BATCH_LINGER=10s")
	w.check(t)

	for want, count := range map[string]int{"delivered again": orders, "counted": orders - poison, "dead-lettered: decode": poison} {
		var found []collector.Span
		await(t, fmt.Sprintf("%d orders are %s", count, want), func() bool {
			found = c.Select(func(s collector.Span) bool {
				return s.Name == "count "+w.orders && s.Attributes["shopstream.outcome"] == want
			})
			return len(found) == count
		})
		batch := c.Await(t, "the batch", func(s collector.Span) bool { return s.ID == found[0].Links[0] })
		transaction := c.Await(t, "the transaction", func(s collector.Span) bool { return s.Parent == batch.ID && s.Name == "transaction" })
		if again := want == "delivered again"; batch.Failed != again || transaction.Failed != again {
			t.Errorf("of orders that were %s: %+v\n%+v", want, batch, transaction)
		}
		for _, s := range found {
			if s.Parent != s.Trace[16:] || !slices.Equal(s.Links, []string{batch.ID}) || !slices.Contains(batch.Links, s.Parent) {
				t.Errorf("%+v is not below the span that sent it, and linked with its batch", s)
			}
		}
	}
	for _, letter := range w.Read(t, w.letters) {
		trace := header(letter, "traceparent")[3:35]
		sent := c.Select(func(s collector.Span) bool { return s.Trace == trace && s.Name == "send "+w.letters })
		// Sent in both transactions, and once for nothing.
		if len(sent) != 2 || sent[0].Failed == sent[1].Failed {
			t.Errorf("of letter %s: %+v", letter.Headers, sent)
		}
	}
}
