package main

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"shopstream/services/internal/kafkax"
)

// resume narrows what is read to what follows the last run, and starts reading.
func (r *topicReader) resume(ctx context.Context) error {
	committed, err := r.committed(ctx)
	if err != nil {
		return err
	}
	epochs := map[int32]int32{}
	for partition, s := range r.spans {
		at, ok := committed[partition]
		if !ok || at.Offset < s.start || at.Offset > s.end || at.Log != "" && at.Log != r.id {
			continue // there is no such position in this log: from its beginning
		}
		s.start, epochs[partition] = at.Offset, at.LeaderEpoch
	}
	r.begin(epochs)
	return nil
}

// committed returns where earlier runs ended.
func (r *topicReader) committed(ctx context.Context) (map[int32]kafkax.Position, error) {
	positions := map[int32]kafkax.Position{}
	err := r.ask(ctx, fmt.Sprintf("reading the offsets of group %q", replayGroup), func(ctx context.Context) error {
		answer, err := r.admin.FetchOffsets(ctx, replayGroup)
		if errors.Is(err, kerr.GroupIDNotFound) {
			return nil // no run has committed yet
		}
		if err != nil {
			return err
		}
		for partition, at := range answer[r.topic] {
			if at.Err != nil {
				return at.Err
			}
			if at.At >= 0 {
				positions[partition] = kafkax.PositionOf(at.At, &at.Metadata)
			}
		}
		return nil
	})
	return positions, err
}

// commit commits where the next run starts: at the first letter left, or else after
// what this run has finished. It doesn't join the group, which stays empty.
func (r *topicReader) commit(ctx context.Context, passed, left map[int32]place) error {
	next := maps.Clone(passed)
	maps.Copy(next, left)
	offsets := kadm.Offsets{}
	for partition, at := range next {
		offsets.Add(kadm.Offset{Topic: r.topic, Partition: partition, At: int64(at.offset), LeaderEpoch: -1, Metadata: *at.label})
	}
	if len(offsets) == 0 {
		return nil
	}
	return r.ask(ctx, fmt.Sprintf("committing the offsets of group %q", replayGroup), func(ctx context.Context) error {
		return r.admin.CommitAllOffsets(ctx, replayGroup, offsets)
	})
}

// isBefore reports whether a letter comes before what this run reads.
func (r *topicReader) isBefore(p position) bool {
	s := r.spans[p.partition]
	return s != nil && p.offset >= 0 && p.offset < s.start
}

// placeOf is where a message is, as an offset to commit.
func placeOf(m *kafka.Message) place {
	return place{m.TopicPartition.Offset, m.TopicPartition.Metadata}
}
