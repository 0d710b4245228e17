package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/event"
	"shopstream/services/internal/kafkax"
)

// restorer reads ledgers back from the totals topic.
type restorer struct {
	cfg    config
	client *kafka.Producer // for metadata and offsets
	log    *slog.Logger
}

// restore returns the ledgers of these partitions of the orders topic. It
// reads the whole totals topic, up to where it ends now.
//
// Totals that a predecessor wrote in a transaction that is still open lie
// below that end, so the read waits until their outcome is known; Kafka bounds
// the wait by the predecessor's TRANSACTION_TIMEOUT.
func (r *restorer) restore(ctx context.Context, partitions []int32) (map[int32]*ledger, error) {
	ledgers := map[int32]*ledger{}
	for _, p := range partitions {
		ledgers[p] = newLedger(p)
	}
	totals, err := r.partitions()
	if err != nil {
		return nil, err
	}
	starts, err := r.offsets(ctx, kafka.EarliestOffsetSpec, r.cfg.TotalsTopic, totals)
	if err != nil {
		return nil, err
	}
	ends, err := r.offsets(ctx, kafka.LatestOffsetSpec, r.cfg.TotalsTopic, totals)
	if err != nil {
		return nil, err
	}
	if err := r.read(ctx, starts, ends, ledgers); err != nil {
		return nil, err
	}
	logEnds, err := r.offsets(ctx, kafka.LatestOffsetSpec, r.cfg.OrdersTopic, partitions)
	if err != nil {
		return nil, err
	}
	for p, l := range ledgers {
		// The totals' memory and the log must be of one piece: with a new log,
		// new orders would pass for those already counted.
		if end := logEnds[p]; l.counted >= end {
			return nil, fmt.Errorf("%w: partition %d of %q ends at offset %d, but its order %d is in %q: after a topic was recreated or cut off, recreate %q too",
				errTornHistory, p, r.cfg.OrdersTopic, end, l.counted, r.cfg.TotalsTopic, r.cfg.TotalsTopic)
		}
	}
	return ledgers, nil
}

// partitions returns those of the totals topic.
func (r *restorer) partitions() ([]int32, error) {
	topic := r.cfg.TotalsTopic
	md, err := r.client.GetMetadata(&topic, false, int(kafkax.AnswerTimeout.Milliseconds()))
	if err != nil {
		return nil, fmt.Errorf("reading the metadata of %q: %w", topic, err)
	}
	totals := md.Topics[topic]
	if len(totals.Partitions) == 0 {
		return nil, fmt.Errorf("reading the metadata of %q: %w", topic, totals.Error)
	}
	var partitions []int32
	for _, p := range totals.Partitions {
		partitions = append(partitions, p.ID)
	}
	return partitions, nil
}

// offsets returns where partitions begin or end, open transactions included.
func (r *restorer) offsets(ctx context.Context, spec kafka.OffsetSpec, topic string, partitions []int32) (map[int32]int64, error) {
	wanted := map[kafka.TopicPartition]kafka.OffsetSpec{}
	for _, p := range partitions {
		wanted[kafka.TopicPartition{Topic: &topic, Partition: p}] = spec
	}
	admin, err := kafka.NewAdminClientFromProducer(r.client)
	if err != nil {
		return nil, fmt.Errorf("creating the admin client: %w", err)
	}
	defer admin.Close()
	listed, err := admin.ListOffsets(ctx, wanted, kafka.SetAdminIsolationLevel(kafka.IsolationLevelReadUncommitted), kafka.SetAdminRequestTimeout(kafkax.AnswerTimeout))
	if err != nil {
		return nil, fmt.Errorf("listing the offsets of %q: %w", topic, err)
	}
	offsets := map[int32]int64{}
	for tp, info := range listed.ResultInfos {
		if info.Error.Code() != kafka.ErrNoError {
			return nil, fmt.Errorf("listing the offsets of partition %d of %q: %w", tp.Partition, topic, info.Error)
		}
		// Where a broker didn't answer, librdkafka returns the question (-1: the
		// end) as if it were the answer.
		if info.Offset < 0 {
			return nil, fmt.Errorf("listing the offsets of partition %d of %q: its leader doesn't answer", tp.Partition, topic)
		}
		offsets[tp.Partition] = int64(info.Offset)
	}
	return offsets, nil
}

// slowRestore is after how long a restore says what it waits for.
const slowRestore = 2 * time.Second

// read applies the committed totals from starts to ends to the ledgers.
func (r *restorer) read(ctx context.Context, starts, ends map[int32]int64, ledgers map[int32]*ledger) error {
	topic := r.cfg.TotalsTopic
	var from []kafka.TopicPartition
	left := map[int32]int64{}
	for p, end := range ends {
		if start := starts[p]; end > start {
			// A number, as the client takes half a second longer over "the beginning".
			from = append(from, kafka.TopicPartition{Topic: &topic, Partition: p, Offset: kafka.Offset(start)})
			left[p] = end
		}
	}
	if len(left) == 0 {
		return nil
	}
	// By assignment: the group id is asked for, but no group is joined.
	reader, err := kafkax.NewAssigned(r.cfg.Kafka, "consumer-restore", r.cfg.GroupID, r.log)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }() // nothing to lose in it
	if err := reader.Assign(from); err != nil {
		return fmt.Errorf("assigning %q: %w", topic, err)
	}

	told := time.Now()
	for len(left) > 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(told) > slowRestore {
			told = time.Now()
			r.log.Info("reading the totals back; an open transaction of another instance has to end first if this takes long", "topic", topic, "partitions_left", len(left))
		}
		switch e := reader.Poll(100).(type) {
		case *kafka.Message:
			if err := e.TopicPartition.Error; err != nil {
				return fmt.Errorf("reading %q: %w", topic, err)
			}
			if err := apply(e, ledgers); err != nil {
				return err
			}
		// With read_committed this end is the last stable offset: nothing
		// below is undecided.
		case kafka.PartitionEOF:
			if end, waiting := left[e.Partition]; waiting && int64(e.Offset) >= end {
				delete(left, e.Partition)
			}
		case kafka.Error:
			kafkax.LogError(r.log, e)
			if e.IsFatal() {
				return fmt.Errorf("reading %q: %w", topic, e)
			}
		}
	}
	return nil
}

// apply takes one record of the totals topic. One that can't be read ends the
// process: to go on without it would start its product's total from nothing.
func apply(m *kafka.Message, ledgers map[int32]*ledger) error {
	if m.Value == nil {
		return nil // deleted by hand; the others tell how far orders were counted
	}
	total, err := event.DecodeTotal(m.Value)
	if err == nil && string(total.Key()) != string(m.Key) {
		err = fmt.Errorf("its key %q doesn't belong to %s", m.Key, m.Value)
	}
	if err != nil {
		return fmt.Errorf("%w: record %d of partition %d of %q: %w", errTornHistory, m.TopicPartition.Offset, m.TopicPartition.Partition, *m.TopicPartition.Topic, err)
	}
	if l, wanted := ledgers[total.Partition]; wanted {
		l.restore(total)
	}
	return nil
}
