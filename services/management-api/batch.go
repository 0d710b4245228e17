package main

import (
	"iter"
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/event"
	"shopstream/services/internal/kafkax"
)

// item is one message on its way into the database or to the dead letters.
type item struct {
	message  *kafka.Message
	decoded  bool
	purchase event.Purchase // valid once decoded, unless refused
	refusal  *refusal       // why it goes to the dead letters
	lettered bool           // whether its dead letter is acknowledged
	letter   kafkax.Placed  // where that is
	done     bool           // stored, or dead-lettered and noted
	fresh    bool           // stored, and not before
	same     []*item        // further records of the batch with the same event id
	foreign  bool           // refused because another user's purchase has its event id
}

// maxBatchBytes is the memory at which a batch is full, whatever the number of its
// items.
const maxBatchBytes = 16 << 20

// batch holds polled items in order and, per partition, the offset to store once all
// of them are done. They all belong to one topic.
type batch struct {
	items []*item
	bytes int // of all added items
	next  map[int32]place
	since time.Time // when the first item was added
}

// place is an offset to store, with the label of its log.
type place struct {
	offset kafka.Offset
	label  *string
}

func newBatch() *batch { return &batch{next: map[int32]place{}} }

func (b *batch) add(m *kafka.Message, now time.Time) {
	b.append(&item{message: m}, place{m.TopicPartition.Offset + 1, m.TopicPartition.Metadata}, now)
}

// addUnreadable adds an unreadable range of offsets as one item for the dead letters.
func (b *batch) addUnreadable(u *kafkax.Unreadable, now time.Time) {
	b.append(&item{message: u.Message(), decoded: true, refusal: &refusal{reasonUnreadable, shortened(u)}},
		place{kafka.Offset(u.Last + 1), &u.Label}, now)
}

func (b *batch) append(i *item, next place, now time.Time) {
	if len(b.items) == 0 {
		b.since = now
	}
	b.items = append(b.items, i)
	b.bytes += kafkax.MemoryOf(i.message)
	b.next[i.message.TopicPartition.Partition] = next
}

func (b *batch) full(size int) bool { return len(b.items) >= size || b.bytes >= maxBatchBytes }

// messages returns the messages of all items.
func (b *batch) messages() iter.Seq[*kafka.Message] {
	return func(yield func(*kafka.Message) bool) {
		for _, i := range b.items {
			if !yield(i.message) {
				return
			}
		}
	}
}

// endSpans ends the spans of the items that are done.
func endSpans(spans *kafkax.Spans, items []*item) {
	if spans == nil {
		return
	}
	for _, i := range items {
		switch {
		case !i.done:
		case i.refusal != nil:
			spans.Done(i.message, "dead-lettered: "+i.refusal.reason, i.purchase.EventID, i.refusal.err)
		case i.fresh:
			spans.Done(i.message, "stored", i.purchase.EventID, nil)
		default:
			spans.Done(i.message, "already stored", i.purchase.EventID, nil)
		}
	}
}

func (b *batch) empty() bool { return len(b.items) == 0 }

// wait returns how long the batch may still wait for more items; 0 if it is full or
// old enough.
func (b *batch) wait(size int, linger time.Duration, now time.Time) time.Duration {
	if b.full(size) {
		return 0
	}
	return max(0, linger-now.Sub(b.since))
}

// drop removes partitions that this member no longer owns. Their next owner reads
// again from the last stored offset. The slice is a new one, since a write may still
// use the old one.
func (b *batch) drop(partitions []kafka.TopicPartition) {
	revoked := map[int32]bool{}
	for _, p := range partitions {
		revoked[p.Partition] = true
		b.forget(p.Partition)
	}
	var kept []*item
	for _, i := range b.items {
		if !revoked[i.message.TopicPartition.Partition] {
			kept = append(kept, i)
		}
	}
	b.items = kept
}

// forget keeps a partition's items but drops its offset.
func (b *batch) forget(partition int32) { delete(b.next, partition) }

// retain removes the items that are done. Call it only between writes.
func (b *batch) retain() {
	b.items = slices.DeleteFunc(b.items, func(i *item) bool { return i.done })
}

// offsets returns the offsets to store once every item of the batch is done.
func (b *batch) offsets(topic string) []kafka.TopicPartition {
	offsets := make([]kafka.TopicPartition, 0, len(b.next))
	for partition, next := range b.next {
		offsets = append(offsets, kafka.TopicPartition{Topic: &topic, Partition: partition, Offset: next.offset, Metadata: next.label})
	}
	return offsets
}
