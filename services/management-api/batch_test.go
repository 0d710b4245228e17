package main

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

func at(partition int32, offset int64) *kafka.Message {
	topic := "purchases"
	return &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: partition, Offset: kafka.Offset(offset)}}
}

func TestBatchIsDue(t *testing.T) {
	now := time.Now()
	const size, linger = 3, 50 * time.Millisecond
	tests := map[string]struct {
		ages []time.Duration
		want time.Duration
	}{
		"one, just come":      {[]time.Duration{0}, linger},
		"the first counts":    {[]time.Duration{40 * time.Millisecond, 0}, 10 * time.Millisecond},
		"old enough":          {[]time.Duration{50 * time.Millisecond}, 0},
		"long overdue":        {[]time.Duration{time.Hour}, 0},
		"full":                {[]time.Duration{0, 0, 0}, 0},
		"more than full even": {[]time.Duration{0, 0, 0, 0}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBatch()
			for i, age := range tt.ages {
				b.add(at(0, int64(i)), now.Add(-age))
			}
			if got := b.wait(size, linger, now); got != tt.want {
				t.Errorf("wait = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestBatchOffsets(t *testing.T) {
	messages := []*kafka.Message{at(0, 7), at(1, 0), at(0, 8), at(2, 40), at(0, 11)} // 9 and 10 are not in the log
	tests := map[string]struct {
		drop []int32
		want map[int32]kafka.Offset
		left int
	}{
		"all":                 {nil, map[int32]kafka.Offset{0: 12, 1: 1, 2: 41}, 5},
		"one was revoked":     {[]int32{0}, map[int32]kafka.Offset{1: 1, 2: 41}, 2},
		"another's, not here": {[]int32{5}, map[int32]kafka.Offset{0: 12, 1: 1, 2: 41}, 5},
		"all were revoked":    {[]int32{0, 1, 2}, map[int32]kafka.Offset{}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBatch()
			for _, m := range messages {
				b.add(m, time.Now())
			}
			before := slices.Clone(b.items)
			writing := b.items // as an unfinished write holds it
			var revoked []kafka.TopicPartition
			for _, p := range tt.drop {
				revoked = append(revoked, kafka.TopicPartition{Partition: p})
			}
			b.drop(revoked)
			got := map[int32]kafka.Offset{}
			for _, o := range b.offsets("purchases") {
				got[o.Partition] = o.Offset
			}
			if !maps.Equal(got, tt.want) || len(b.items) != tt.left {
				t.Errorf("offsets %v and %d items, want %v and %d", got, len(b.items), tt.want, tt.left)
			}
			if !slices.Equal(writing, before) {
				t.Error("the items of a write that goes on were moved")
			}
		})
	}
}

func TestBatchRetainsWhatIsNotDone(t *testing.T) {
	b := newBatch()
	for i := range 4 {
		b.add(at(0, int64(i)), time.Now())
	}
	b.items[0].done, b.items[2].done = true, true
	b.retain()
	if len(b.items) != 2 || b.items[0].message.TopicPartition.Offset != 1 || b.items[1].message.TopicPartition.Offset != 3 {
		t.Errorf("items = %v", b.items)
	}
	if o := b.offsets("purchases"); len(o) != 1 || o[0].Offset != 4 {
		t.Errorf("offsets = %v: they are for when all is done", o)
	}
}
