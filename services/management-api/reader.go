package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/kafkax"
)

// letterReader reads the dead letters from where the last run ended up to the end of
// the log at its start. It assigns the partitions itself, so that it needn't wait for
// a group to form, and a second run can't take its partitions.
type letterReader struct {
	client *kafka.Consumer
	topic  string
	log    *slog.Logger
	spans  map[int32]*span
}

// span is the range of offsets to read of one partition.
type span struct {
	start, end kafka.Offset
	read       kafka.Offset // the next to read
	passed     kafka.Offset // all before it are finished
	committed  kafka.Offset
}

func newLetterReader(cfg replayConfig, log *slog.Logger) (*letterReader, error) {
	client, err := kafkax.NewAssigned(cfg.Kafka, replayGroup, replayGroup, log)
	if err != nil {
		return nil, err
	}
	return &letterReader{client: client, topic: cfg.Topics.DeadLetters, log: log, spans: map[int32]*span{}}, nil
}

func (r *letterReader) close() {
	if err := r.client.Close(); err != nil {
		r.log.Warn("closing the reader", "error", err)
	}
}

// start determines what to read.
func (r *letterReader) start(fromBeginning bool) error {
	wait := int(kafkax.OnceTimeout.Milliseconds())
	metadata, err := r.client.GetMetadata(&r.topic, false, wait)
	if err != nil {
		return fmt.Errorf("listing the partitions of %q: %w", r.topic, err)
	}
	if len(metadata.Topics[r.topic].Partitions) == 0 {
		return fmt.Errorf("listing the partitions of %q: the topic does not exist", r.topic)
	}
	var partitions []kafka.TopicPartition
	for _, p := range metadata.Topics[r.topic].Partitions {
		partitions = append(partitions, kafka.TopicPartition{Topic: &r.topic, Partition: p.ID})
	}
	committed, err := r.client.Committed(partitions, wait)
	if kafkax.CodeOf(err) == kafka.ErrGroupIDNotFound {
		committed, err = partitions, nil // no run has committed yet
		for i := range committed {
			committed[i].Offset = kafka.OffsetInvalid
		}
	}
	if err != nil {
		return fmt.Errorf("reading the offsets of group %q: %w", replayGroup, err)
	}
	var assign []kafka.TopicPartition
	for _, p := range committed {
		low, high, err := r.client.QueryWatermarkOffsets(r.topic, p.Partition, wait)
		if err != nil {
			return fmt.Errorf("reading the end of partition %d of %q: %w", p.Partition, r.topic, err)
		}
		s := spanOf(p.Offset, kafka.Offset(low), kafka.Offset(high), fromBeginning)
		r.spans[p.Partition] = &s
		if s.start < s.end {
			assign = append(assign, kafka.TopicPartition{Topic: &r.topic, Partition: p.Partition, Offset: s.start})
		}
	}
	if len(assign) == 0 {
		return nil
	}
	if err := r.client.Assign(assign); err != nil {
		return fmt.Errorf("assigning the partitions of %q: %w", r.topic, err)
	}
	return nil
}

// spanOf returns what to read of a partition. committed is negative if no run has
// committed yet.
func spanOf(committed, low, high kafka.Offset, fromBeginning bool) span {
	start := low
	if !fromBeginning {
		start = min(max(committed, low), high)
	}
	return span{start: start, end: high, read: start, passed: start, committed: committed}
}

// isBefore reports whether a letter comes before what this run reads.
func (r *letterReader) isBefore(p position) bool {
	s := r.spans[p.partition]
	return s != nil && p.offset >= 0 && kafka.Offset(p.offset) < s.start
}

// next returns up to limit letters, and none at the end.
func (r *letterReader) next(ctx context.Context, limit int) ([]*kafka.Message, error) {
	var letters []*kafka.Message
	for quiet := time.Now(); len(letters) < limit && !r.atEnd(); {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("reading dead letters: %w", err)
		}
		switch e := r.client.Poll(100).(type) {
		case *kafka.Message:
			if err := e.TopicPartition.Error; err != nil {
				return nil, fmt.Errorf("reading partition %d of %q: %w", e.TopicPartition.Partition, r.topic, err)
			}
			quiet = time.Now()
			s := r.spans[e.TopicPartition.Partition]
			if e.TopicPartition.Offset < s.end {
				letters = append(letters, e)
			}
			s.read = e.TopicPartition.Offset + 1
		case kafka.PartitionEOF:
			// There may be no letter at the end, but a transaction marker, for example.
			s := r.spans[e.Partition]
			s.read = max(s.read, s.end)
		case kafka.Error:
			kafkax.LogError(r.log, e)
			if e.IsFatal() {
				return nil, fmt.Errorf("reading dead letters: %w", e)
			}
		}
		if time.Since(quiet) > 2*kafkax.OnceTimeout {
			return nil, errors.New("reading dead letters: the brokers don't answer")
		}
	}
	return letters, nil
}

func (r *letterReader) atEnd() bool {
	for _, s := range r.spans {
		if s.read < s.end {
			return false
		}
	}
	return true
}

// pass marks everything that next has returned as finished.
func (r *letterReader) pass() {
	for _, s := range r.spans {
		s.passed = min(s.read, s.end)
	}
}

// commit commits where the next run starts: at the first letter left, or else after
// what this run has finished.
func (r *letterReader) commit(left map[int32]kafka.Offset) error {
	var offsets []kafka.TopicPartition
	for partition, s := range r.spans {
		next := s.passed
		if first, ok := left[partition]; ok {
			next = min(next, first)
		}
		if next != s.committed {
			offsets = append(offsets, kafka.TopicPartition{Topic: &r.topic, Partition: partition, Offset: next})
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	// Without joining the group, which stays empty.
	if _, err := r.client.CommitOffsets(offsets); err != nil {
		return fmt.Errorf("committing the offsets of group %q: %w", replayGroup, err)
	}
	return nil
}
