package main

import (
	"iter"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/kafkax"
)

// messages returns the messages of the batch.
func (w *worker) messages() iter.Seq[*kafka.Message] {
	return func(yield func(*kafka.Message) bool) {
		for _, i := range w.batch {
			if !yield(i.message) {
				return
			}
		}
	}
}

// end ends the spans of the dead letters and, if the transaction was committed, those
// of the orders.
func (s sums) end(spans *kafkax.Spans, batch []item, err error) {
	for _, send := range s.sends {
		send.End(err)
	}
	if spans == nil || err != nil {
		return
	}
	for _, r := range s.refused {
		spans.Done(r.message, "dead-lettered: "+r.reason, "", r.cause)
	}
	for _, m := range s.skipped {
		spans.Done(m, "already counted", "", nil)
	}
	for _, i := range batch {
		spans.Done(i.message, "counted", "", nil)
	}
}
