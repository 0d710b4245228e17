package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/kafkax"
)

// Errors that determine the status of a response.
var (
	errUnavailable  = errors.New("kafka does not answer")
	errUnknownTopic = errors.New("unknown topic")
	errForbidden    = errors.New("kafka denies this service access")
)

// client is one connection of the service to Kafka.
type client struct {
	*kafka.Consumer
	// Created from the consumer: a separate admin client would be a producer, whose
	// metadata requests create topics.
	admin *kafka.AdminClient
}

func newClient(cfg kafkax.Config, log *slog.Logger) (client, error) {
	consumer, err := kafkax.NewQuerier(cfg, "api", log)
	if err != nil {
		return client{}, err
	}
	admin, err := kafka.NewAdminClientFromConsumer(consumer)
	if err != nil {
		return client{}, errors.Join(fmt.Errorf("creating a Kafka client: %w", err), consumer.Close())
	}
	return client{consumer, admin}, nil
}

// ask sends one request to the brokers within its time limit, and classifies its error.
func ask(ctx context.Context, what string, question func(ctx context.Context, timeout time.Duration) error) error {
	bounded, cancel := context.WithTimeout(ctx, kafkax.AnswerTimeout)
	defer cancel()
	deadline, _ := bounded.Deadline()
	err := question(bounded, max(time.Until(deadline), time.Millisecond))
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err() // the client has disconnected
	}
	return fmt.Errorf("%s: %w", what, classify(err))
}

// classify wraps err with the matching one of this service's errors.
func classify(err error) error {
	if errors.Is(err, errUnknownTopic) {
		return err
	}
	var ke kafka.Error
	if errors.As(err, &ke) {
		switch ke.Code() {
		case kafka.ErrUnknownTopicOrPart, kafka.ErrUnknownTopic, kafka.ErrUnknownPartition, kafka.ErrTopicException, kafka.ErrUnknownTopicID:
			return fmt.Errorf("%w: %w", errUnknownTopic, err)
		case kafka.ErrTopicAuthorizationFailed, kafka.ErrGroupAuthorizationFailed, kafka.ErrClusterAuthorizationFailed:
			return fmt.Errorf("%w: %w", errForbidden, err)
		}
	}
	return fmt.Errorf("%w: %w", errUnavailable, err)
}

// place is one partition of one topic.
type place struct {
	topic     string
	partition int32
}

// extent is the readable part of a partition's log: [low, end).
type extent struct{ low, end int64 }

// extents returns the log starts and ends of partitions, with one request for
// the starts and one for the ends per broker, sent together. Under
// read_committed an end is the last stable offset: the beginning of the first open
// transaction. With all it fails if one partition's offset is unknown; without, such
// partitions are missing from the result.
func (c client) extents(ctx context.Context, places []place, isolation kafka.IsolationLevel, all bool) (map[place]extent, error) {
	if len(places) == 0 {
		return nil, nil
	}
	var (
		wg                 sync.WaitGroup
		starts, ends       map[place]int64
		startsErr, endsErr error
	)
	wg.Go(func() { starts, startsErr = c.offsets(ctx, places, kafka.EarliestOffsetSpec, isolation, all) })
	wg.Go(func() { ends, endsErr = c.offsets(ctx, places, kafka.LatestOffsetSpec, isolation, all) })
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

// offsets lists one offset of each partition. If a leader has just moved, it asks
// again.
func (c client) offsets(ctx context.Context, places []place, spec kafka.OffsetSpec, isolation kafka.IsolationLevel, all bool) (map[place]int64, error) {
	found := make(map[place]int64, len(places))
	err := ask(ctx, "listing offsets", func(ctx context.Context, _ time.Duration) error {
		for try := 1; ; try++ {
			missing := map[kafka.TopicPartition]kafka.OffsetSpec{}
			for _, p := range places {
				if _, ok := found[p]; !ok {
					missing[kafka.TopicPartition{Topic: &p.topic, Partition: p.partition}] = spec
				}
			}
			deadline, _ := ctx.Deadline()
			result, err := c.admin.ListOffsets(ctx, missing,
				kafka.SetAdminIsolationLevel(isolation), kafka.SetAdminRequestTimeout(max(time.Until(deadline), time.Millisecond)))
			if err != nil {
				return err
			}
			var last error
			for tp, info := range result.ResultInfos {
				switch {
				case info.Error.Code() == kafka.ErrNoError && info.Offset < 0:
					// librdkafka returns the request as the result if the leader
					// didn't answer.
					last = kafka.NewError(kafka.ErrTimedOut, "a leader doesn't answer", false)
				case info.Error.Code() == kafka.ErrNoError:
					found[place{*tp.Topic, tp.Partition}] = int64(info.Offset)
				case !passes(info.Error):
					return info.Error
				default:
					last = info.Error
				}
			}
			if len(found) == len(places) || !all && try == 3 {
				return nil // those still missing were deleted meanwhile
			}
			// Requesting the topic's metadata shows the client its new leader.
			topic := places[0].topic
			for _, p := range places {
				if _, ok := found[p]; !ok {
					topic = p.topic
				}
			}
			_, _ = c.GetMetadata(&topic, false, 500)
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				return errors.Join(last, ctx.Err())
			}
		}
	})
	return found, err
}

// passes reports whether a partition's error is transient: its leader is moving, or not
// every broker knows the topic yet.
func passes(err kafka.Error) bool {
	switch err.Code() {
	case kafka.ErrNotLeaderForPartition, kafka.ErrLeaderNotAvailable, kafka.ErrFencedLeaderEpoch, kafka.ErrUnknownLeaderEpoch,
		kafka.ErrUnknownTopicOrPart, kafka.ErrReplicaNotAvailable, kafka.ErrOffsetNotAvailable, kafka.ErrKafkaStorageError:
		return true
	}
	return err.IsRetriable()
}
