package main

import (
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/event"
)

// item is one message on its way into the database or to the dead letters.
type item struct {
	message  *kafka.Message
	decoded  bool
	purchase event.Purchase // valid when decoded and not refused
	refusal  *refusal       // why it goes to the dead letters
	lettered bool           // its dead letter is acknowledged
	done     bool           // safe: stored, or dead-lettered and noted
}

// batch is what was polled and is not finished: the items in the order they
// came and, per partition, the offset to store once all of them are done. All
// of them belong to one topic.
type batch struct {
	items []*item
	next  map[int32]kafka.Offset
	since time.Time // when the first item came
}

func newBatch() *batch { return &batch{next: map[int32]kafka.Offset{}} }

func (b *batch) add(m *kafka.Message, now time.Time) {
	if len(b.items) == 0 {
		b.since = now
	}
	b.items = append(b.items, &item{message: m})
	b.next[m.TopicPartition.Partition] = m.TopicPartition.Offset + 1
}

func (b *batch) empty() bool { return len(b.items) == 0 }

// wait returns how long the batch may still wait for more items: nothing when
// it is full or old enough.
func (b *batch) wait(size int, linger time.Duration, now time.Time) time.Duration {
	if len(b.items) >= size {
		return 0
	}
	return max(0, linger-now.Sub(b.since))
}

// drop forgets partitions that this member no longer owns: their next owner
// reads them again from the last stored offset. The slice is a new one, since
// a write may be going on with the old one.
func (b *batch) drop(partitions []kafka.TopicPartition) {
	for _, p := range partitions {
		delete(b.next, p.Partition)
	}
	var kept []*item
	for _, i := range b.items {
		if _, owned := b.next[i.message.TopicPartition.Partition]; owned {
			kept = append(kept, i)
		}
	}
	b.items = kept
}

// retain keeps the items that are not done. Only to be called between writes.
func (b *batch) retain() {
	b.items = slices.DeleteFunc(b.items, func(i *item) bool { return i.done })
}

// offsets returns what to store when every item of the batch is done.
func (b *batch) offsets(topic string) []kafka.TopicPartition {
	offsets := make([]kafka.TopicPartition, 0, len(b.next))
	for partition, next := range b.next {
		offsets = append(offsets, kafka.TopicPartition{Topic: &topic, Partition: partition, Offset: next})
	}
	return offsets
}
