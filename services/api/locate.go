package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/retry"
)

// described is a topic as the brokers describe it now: its id, and the leaders of its
// partitions.
type described struct {
	id      [16]byte
	leaders map[int32]int32
}

// located is the log of one partition; [low, end) can be read.
type located struct {
	partition int32
	extent
}

var (
	errMoved     = errors.New("a leader has moved") // the caller retries with fresh metadata
	errRecreated = errors.New("the topic was deleted and created again")
)

// Special timestamps of ListOffsets.
const (
	latest   = -1
	earliest = -2
)

// locate finds the selected partitions, and captures where their logs start and end
// now. The reader reads only this log from then on. Under read_committed an end is the
// last stable offset: the start of the first open transaction.
func (r *reader) locate(ctx context.Context, sel selection) ([]located, error) {
	var logs []located
	d, err := r.settled(ctx, "looking "+sel.topic+" up", func(ctx context.Context) (described, error) {
		d, err := r.describe(ctx, sel.topic)
		if err != nil {
			return d, err
		}
		starts, ends := map[int32]int64{}, map[int32]int64{}
		for partition, leader := range d.leaders {
			if sel.partition >= 0 && partition != sel.partition {
				continue
			}
			if leader < 0 {
				return d, fmt.Errorf("%w: partition %d of %s", errLeaderless, partition, sel.topic)
			}
			starts[partition], ends[partition] = earliest, latest
		}
		if len(starts) == 0 {
			return d, fmt.Errorf("%w: %s has no partition %d", errUnknownPartition, sel.topic, sel.partition)
		}
		var wg sync.WaitGroup
		var startsErr, endsErr error
		wg.Go(func() { startsErr = r.listOffsets(ctx, sel.topic, d, starts) })
		wg.Go(func() { endsErr = r.listOffsets(ctx, sel.topic, d, ends) })
		wg.Wait()
		if err := errors.Join(startsErr, endsErr); err != nil {
			return d, err
		}
		logs = logs[:0]
		for partition := range int32(len(d.leaders)) {
			if low, ok := starts[partition]; ok {
				logs = append(logs, located{partition, extent{low: low, end: max(ends[partition], low)}})
			}
		}
		return d, nil
	})
	r.log = d
	return logs, err
}

// lookUp finds, in each partition, the first record with a given timestamp or a later
// one. Partitions without one are missing from the result.
func (r *reader) lookUp(ctx context.Context, topic string, logs []located, timestamp func(partition int32) int64) (map[int32]int64, error) {
	var found map[int32]int64
	_, err := r.settled(ctx, "looking up times in "+topic, func(ctx context.Context) (described, error) {
		d, err := r.describe(ctx, topic)
		if err != nil {
			return d, err
		}
		found = make(map[int32]int64, len(logs))
		for _, l := range logs {
			found[l.partition] = timestamp(l.partition)
		}
		return d, r.listOffsets(ctx, topic, d, found)
	})
	for partition, offset := range found {
		if offset < 0 {
			delete(found, partition)
		}
	}
	return found, err
}

// settled repeats a question until no leader moves meanwhile, within the time limit of
// one question.
func (r *reader) settled(ctx context.Context, what string, question func(context.Context) (described, error)) (described, error) {
	bounded, cancel := context.WithTimeout(ctx, kafkax.AnswerTimeout)
	defer cancel()
	for {
		d, err := question(bounded)
		if err == nil {
			return d, nil
		}
		if !errors.Is(err, errMoved) {
			return d, brokerError(ctx, what, err)
		}
		if !retry.Sleep(bounded, 50*time.Millisecond) {
			return d, brokerError(ctx, what, err)
		}
	}
}

// describe requests a topic's id and leaders. It never creates the topic.
func (r *reader) describe(ctx context.Context, topic string) (described, error) {
	d, err := r.describeWith(ctx, r.pool.direct, topic)
	if kafkax.TooLarge(err) {
		return r.describeWith(ctx, r.pool.wide, topic) // it has a great many partitions
	}
	return d, err
}

func (r *reader) describeWith(ctx context.Context, client *kgo.Client, topic string) (described, error) {
	request := kmsg.NewPtrMetadataRequest()
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = kmsg.StringPtr(topic)
	request.Topics = append(request.Topics, asked)
	answer, err := r.ask(ctx, client, request)
	if err != nil {
		return described{}, err
	}
	d := described{leaders: map[int32]int32{}}
	for _, t := range answer.(*kmsg.MetadataResponse).Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return described{}, err
		}
		d.id = t.TopicID
		for _, p := range t.Partitions {
			d.leaders[p.Partition] = p.Leader
		}
	}
	if len(d.leaders) == 0 {
		return d, fmt.Errorf("%w: it is missing from the brokers' metadata", errUnknownTopic)
	}
	return d, nil
}

// listOffsets sends one ListOffsets request to each leader, and replaces each
// timestamp in asked by the offset found for it.
func (r *reader) listOffsets(ctx context.Context, topic string, d described, asked map[int32]int64) error {
	requests := map[int32]*kmsg.ListOffsetsRequest{}
	for partition, timestamp := range asked {
		leader, ok := d.leaders[partition]
		if !ok || leader < 0 {
			return errMoved
		}
		request := requests[leader]
		if request == nil {
			request = kmsg.NewPtrListOffsetsRequest()
			if request.ReplicaID = -1; r.isolation == kafka.IsolationLevelReadCommitted {
				request.IsolationLevel = 1
			}
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = topic
			request.Topics = append(request.Topics, t)
			requests[leader] = request
		}
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = partition, timestamp
		request.Topics[0].Partitions = append(request.Topics[0].Partitions, p)
	}
	var (
		mu     sync.Mutex
		wg     sync.WaitGroup
		faults []error
	)
	for leader, request := range requests {
		wg.Go(func() {
			answer, err := r.ask(ctx, r.broker(leader), request)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				faults = append(faults, err)
				return
			}
			missing := len(request.Topics[0].Partitions)
			for _, t := range answer.(*kmsg.ListOffsetsResponse).Topics {
				for _, p := range t.Partitions {
					missing--
					if err := kerr.ErrorForCode(p.ErrorCode); moves(err) {
						faults = append(faults, fmt.Errorf("%w: %w", errMoved, err))
					} else if err != nil {
						faults = append(faults, err)
					}
					if timestamp := asked[p.Partition]; timestamp < 0 && p.Offset < 0 {
						faults = append(faults, fmt.Errorf("%w: a leader doesn't know where partition %d starts or ends", errMoved, p.Partition))
					}
					asked[p.Partition] = p.Offset
				}
			}
			if missing > 0 {
				faults = append(faults, fmt.Errorf("%w: %d partitions are missing from its answer", errMoved, missing))
			}
		})
	}
	wg.Wait()
	return errors.Join(faults...)
}

// moves reports whether a partition's error is transient: its leader is moving, or not
// every broker knows the topic yet.
func moves(err error) bool {
	for _, passing := range []error{
		kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch,
		kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.InconsistentTopicID,
		kerr.ReplicaNotAvailable, kerr.OffsetNotAvailable, kerr.KafkaStorageError,
	} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// brokerError classifies a broker's error as one of this service's errors.
func brokerError(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, own := range []error{errRecreated, errLeaderless, errUnknownPartition, errUnknownTopic} {
		if errors.Is(err, own) {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID),
		errors.Is(err, kerr.InvalidTopicException):
		err = fmt.Errorf("%w: %w", errUnknownTopic, err)
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		err = fmt.Errorf("%w: %w", errForbidden, err)
	default:
		err = fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
