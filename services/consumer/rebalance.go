package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/kafkax"
)

// tellAgain spaces the warnings about a fault that lasts.
const tellAgain = 10 * time.Second

// rebalance is called inside a poll, between two transactions.
func (w *worker) rebalance(ctx context.Context, e kafka.Event) {
	switch e := e.(type) {
	case kafka.AssignedPartitions:
		w.assigned(ctx, partitionsOf(e.Partitions))
	case kafka.RevokedPartitions:
		w.revoked(partitionsOf(e.Partitions))
	}
}

// assigned restores the partitions before the first of their orders can come.
func (w *worker) assigned(ctx context.Context, partitions []int32) {
	if len(partitions) == 0 || ctx.Err() != nil {
		return
	}
	start := time.Now()
	positions, err := w.take(ctx, partitions)
	if err == nil {
		err = w.consumer.IncrementalAssign(positions)
	}
	if err != nil {
		if !w.consumer.AssignmentLost() {
			w.failure = fmt.Errorf("taking partitions %v: %w", partitions, err)
		}
		return
	}
	// Without a stored offset the client knows no lag.
	w.store(positions)
	w.log.Info("partitions assigned", "partitions", partitions, "totals", w.products(), "took", time.Since(start))
}

func (w *worker) revoked(partitions []int32) {
	for _, p := range partitions {
		delete(w.ledgers, p)
	}
	// Their orders are not committed: the next owner reads them.
	w.batch = slices.DeleteFunc(w.batch, func(m *kafka.Message) bool {
		return slices.Contains(partitions, m.TopicPartition.Partition)
	})
	w.metrics.products.Set(float64(w.products()))
	w.log.Info("partitions revoked", "partitions", partitions, "lost", w.consumer.AssignmentLost())
}

// take reads back where the group stands in these partitions and what has been
// counted of them, and returns the positions to read on from.
//
// First the offsets, then the totals: a predecessor that was taken for dead
// may still commit a transaction whose offsets it has already sent, and the
// coordinator answers only when that is decided. Then no more can come from
// it, and the totals read after that include all of it. In the other order the
// offsets could be newer than the totals, and orders would be left out.
func (w *worker) take(ctx context.Context, partitions []int32) ([]kafka.TopicPartition, error) {
	var told time.Time
	for {
		positions, err := w.committed(partitions)
		if err == nil {
			var ledgers map[int32]*ledger
			if ledgers, err = w.restorer.restore(ctx, partitions); err == nil {
				err = complete(positions, ledgers)
			}
			if err == nil {
				w.adopt(positions, ledgers)
				return positions, nil
			}
		}
		if ctx.Err() != nil || isFatal(err) || errors.Is(err, errTornHistory) || w.consumer.AssignmentLost() {
			return nil, err
		}
		if time.Since(told) > tellAgain {
			told = time.Now()
			w.log.Warn("partitions can't be taken yet", "partitions", partitions, "error", err)
		}
		select {
		case <-time.After(idlePoll):
		case <-ctx.Done():
		}
	}
}

// complete holds the ledgers to the seals of the committed offsets.
func complete(positions []kafka.TopicPartition, ledgers map[int32]*ledger) error {
	var faults []error
	for _, tp := range positions {
		faults = append(faults, ledgers[tp.Partition].matches(tp.Metadata))
	}
	return errors.Join(faults...)
}

func (w *worker) adopt(positions []kafka.TopicPartition, ledgers map[int32]*ledger) {
	for _, tp := range positions {
		l := ledgers[tp.Partition]
		l.next = max(0, int64(tp.Offset))
		if l.has(l.next) {
			w.log.Warn("the group's offset lies before orders that are in the totals; they are skipped: it was set back (to count anew, recreate the totals topic), or another instance has taken over",
				"partition", tp.Partition, "offset", l.next, "counted", l.counted)
		}
		w.ledgers[tp.Partition] = l
	}
	w.metrics.products.Set(float64(w.products()))
}

// committed asks for the group's offsets. With read_committed the client asks
// for stable ones: while a transaction with offsets of the group is open, the
// coordinator answers that it can't tell.
func (w *worker) committed(partitions []int32) ([]kafka.TopicPartition, error) {
	asked := make([]kafka.TopicPartition, len(partitions))
	for i, p := range partitions {
		asked[i] = kafka.TopicPartition{Topic: &w.cfg.OrdersTopic, Partition: p}
	}
	positions, err := w.consumer.Committed(asked, int(kafkax.AnswerTimeout.Milliseconds()))
	if err != nil {
		return nil, fmt.Errorf("reading the group's offsets: %w", err)
	}
	for i, tp := range positions {
		if tp.Error != nil {
			return nil, fmt.Errorf("reading the group's offset of partition %d: %w", tp.Partition, tp.Error)
		}
		if tp.Offset < 0 {
			positions[i].Offset = kafka.OffsetBeginning
		}
	}
	return positions, nil
}

// store tells the client what is finished. It commits nothing: the lag metric
// is measured from there.
func (w *worker) store(positions []kafka.TopicPartition) {
	known := slices.DeleteFunc(slices.Clone(positions), func(tp kafka.TopicPartition) bool { return tp.Offset < 0 })
	if len(known) == 0 {
		return
	}
	if _, err := w.consumer.StoreOffsets(known); err != nil {
		w.log.Debug("storing offsets for the lag", "error", err)
	}
}

func (w *worker) products() (n int) {
	for _, l := range w.ledgers {
		n += len(l.totals)
	}
	return n
}

func partitionsOf(tps []kafka.TopicPartition) []int32 {
	partitions := make([]int32, len(tps))
	for i, tp := range tps {
		partitions[i] = tp.Partition
	}
	return partitions
}
