package main

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A coordinator acknowledges offsets and then deletes them, because it deletes those of a
// recreated topic late: they are committed again, although nothing is bought.
func TestOffsetsThatTheCoordinatorDeletedAreCommittedAgain(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	if p.kafka.Embedded == nil {
		t.Skip("only the embedded broker can be made to delete offsets")
	}
	var forgotten, remembers atomic.Int64
	p.kafka.Embedded.Cluster.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if remembers.Load() > 0 {
			return nil, nil, false
		}
		p.kafka.Embedded.Cluster.KeepControl()
		asked := r.(*kmsg.OffsetCommitRequest)
		answer := asked.ResponseKind().(*kmsg.OffsetCommitResponse)
		var sum int64
		for _, topic := range asked.Topics {
			accepted := kmsg.OffsetCommitResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
			for _, partition := range topic.Partitions {
				sum += partition.Offset
				accepted.Partitions = append(accepted.Partitions, kmsg.OffsetCommitResponseTopicPartition{Partition: partition.Partition})
			}
			answer.Topics = append(answer.Topics, accepted)
		}
		forgotten.Store(max(forgotten.Load(), sum))
		return answer, nil, true
	})
	events, records := purchases(t, p.topic, 60)
	p.inPartition(t, 0, records...)
	start(t, p.environ())
	p.wantStored(t, events)
	eventually(t, "the end was committed, and forgotten", func() bool { return forgotten.Load() == 60 })
	if p.committedAtTheEnd(t) {
		t.Fatal("nothing was forgotten")
	}
	remembers.Store(1)
	eventually(t, "the offsets committed again", func() bool { return p.committedAtTheEnd(t) })
}
