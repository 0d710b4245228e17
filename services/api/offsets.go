package main

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// place is one partition of one topic.
type place struct {
	topic     string
	partition int32
}

// extent is the readable part of a partition's log: [low, end).
type extent struct{ low, end int64 }

// topics returns the metadata of all topics, as it is now: kadm may answer from a cache.
func (c *cluster) topics(ctx context.Context) ([]kmsg.MetadataResponseTopic, error) {
	var answer *kmsg.MetadataResponse
	err := c.ask(ctx, "listing topics", func(ctx context.Context) (err error) {
		answer, err = kmsg.NewPtrMetadataRequest().RequestWith(ctx, c.client)
		return err
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(answer.Topics, func(t kmsg.MetadataResponseTopic) bool { return t.Topic == nil }), nil
}

// extents returns the log starts and ends of partitions, with one request for the
// starts and one for the ends per broker, sent together. Partitions without a leader and
// those deleted meanwhile are missing from the result.
func (c *cluster) extents(ctx context.Context, places []place) (map[place]extent, error) {
	var (
		wg                 sync.WaitGroup
		starts, ends       map[place]int64
		startsErr, endsErr error
	)
	wg.Go(func() { starts, startsErr = c.offsets(ctx, places, earliest) })
	wg.Go(func() { ends, endsErr = c.offsets(ctx, places, latest) })
	wg.Wait()
	if err := errors.Join(startsErr, endsErr); err != nil {
		return nil, err
	}
	found := make(map[place]extent, len(places))
	for p, low := range starts {
		if end, ok := ends[p]; ok {
			found[p] = extent{low: low, end: max(end, low)}
		}
	}
	return found, nil
}

// offsets lists one offset of each partition, ignoring transactions. The places of a
// topic must follow each other. If a leader has just moved, the client asks again.
func (c *cluster) offsets(ctx context.Context, places []place, timestamp int64) (map[place]int64, error) {
	if len(places) == 0 {
		return nil, nil
	}
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	for i, at := range places {
		if i == 0 || at.topic != places[i-1].topic {
			topic := kmsg.NewListOffsetsRequestTopic()
			topic.Topic = at.topic
			request.Topics = append(request.Topics, topic)
		}
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = at.partition, timestamp
		topic := &request.Topics[len(request.Topics)-1]
		topic.Partitions = append(topic.Partitions, p)
	}
	found := make(map[place]int64, len(places))
	err := c.ask(ctx, "listing offsets", func(ctx context.Context) error {
		for _, shard := range c.client.RequestSharded(ctx, request) {
			if moves(shard.Err) {
				continue
			} else if shard.Err != nil {
				return shard.Err
			}
			for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
				for _, p := range t.Partitions {
					switch err := kerr.ErrorForCode(p.ErrorCode); {
					case err == nil && p.Offset >= 0:
						found[place{t.Topic, p.Partition}] = p.Offset
					case err != nil && !moves(err):
						return err
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}
