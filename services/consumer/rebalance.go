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
		w.assigned(ctx, e.Partitions)
	case kafka.RevokedPartitions:
		w.revoked(partitionsOf(e.Partitions))
	}
}

// assigned restores the partitions before the first of their orders can come.
func (w *worker) assigned(ctx context.Context, assigned []kafka.TopicPartition) {
	partitions := partitionsOf(assigned)
	if len(partitions) == 0 || ctx.Err() != nil {
		return
	}
	start := time.Now()
	err := w.take(ctx, partitions)
	if err == nil {
		err = kafkax.Hold(w.member, assigned)
	}
	if err != nil {
		if !w.member.AssignmentLost() {
			w.failure = fmt.Errorf("taking partitions %v: %w", partitions, err)
		}
		return
	}
	w.log.Info("partitions assigned", "partitions", partitions, "totals", w.products(), "took", time.Since(start))
}

func (w *worker) revoked(partitions []int32) {
	w.reader.Remove(partitions...)
	for _, p := range partitions {
		delete(w.ledgers, p)
		delete(w.next, p)
	}
	// Their orders are not committed: the next owner reads them.
	w.batch = slices.DeleteFunc(w.batch, func(i item) bool {
		return slices.Contains(partitions, i.message.TopicPartition.Partition)
	})
	w.metrics.products.Set(float64(w.products()))
	w.log.Info("partitions revoked", "partitions", partitions, "lost", w.member.AssignmentLost())
}

// take reads back where the group stands in these partitions and what has been
// counted of them, and has them read from there.
//
// First the offsets, then the totals: a predecessor that was taken for dead
// may still commit a transaction whose offsets it has already sent, and the
// coordinator answers only when that is decided. Then no more can come from
// it, and the totals read after that include all of it. In the other order the
// offsets could be newer than the totals, and orders would be left out.
func (w *worker) take(ctx context.Context, partitions []int32) error {
	var told time.Time
	for {
		err := w.restore(ctx, partitions)
		if err == nil || ctx.Err() != nil || isFatal(err) || w.member.AssignmentLost() {
			return err
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

func (w *worker) restore(ctx context.Context, partitions []int32) error {
	committed, err := w.committed(partitions)
	if err != nil {
		return err
	}
	ledgers, err := w.restorer.restore(ctx, committed)
	if err != nil {
		return err
	}
	positions := map[int32]kafkax.Position{}
	var faults []error
	for _, tp := range committed {
		l := ledgers[tp.Partition]
		if counted := kafkax.LabelField(tp.Metadata, "totals"); counted != "" && counted != l.log {
			w.log.Error("the totals topic was recreated: the orders are counted again from the beginning of their log",
				"partition", tp.Partition, "topic", w.cfg.TotalsTopic, "log_before", counted, "log_now", l.log, "orders_before", kafkax.LabelField(tp.Metadata, "orders"))
			positions[tp.Partition] = kafkax.Beginning()
			ledgers[tp.Partition] = newLedger(tp.Partition, l.log)
			continue
		}
		faults = append(faults, l.matches(tp.Metadata))
		positions[tp.Partition] = w.positionIn(l, tp)
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	for p, l := range ledgers {
		w.ledgers[p] = l
	}
	w.metrics.products.Set(float64(w.products()))
	w.reader.Assign(positions)
	return nil
}

// positionIn returns where to go on from what the group has committed.
func (w *worker) positionIn(l *ledger, committed kafka.TopicPartition) kafkax.Position {
	if committed.Offset < 0 {
		return l.resume()
	}
	at := kafkax.PositionOf(int64(committed.Offset), committed.Metadata)
	if at.Log != "" || len(l.counted) > 1 {
		l.named()
	}
	if l.has(at) {
		w.log.Warn("the group's offset lies before orders that are in the totals; they are skipped: it was set back (to count anew, recreate the totals topic), or another instance has taken over",
			"partition", l.partition, "offset", at.Offset)
	}
	return at
}

// committed asks for the group's offsets. With read_committed the client asks
// for stable ones: while a transaction with offsets of the group is open, the
// coordinator answers that it can't tell.
func (w *worker) committed(partitions []int32) ([]kafka.TopicPartition, error) {
	asked := make([]kafka.TopicPartition, len(partitions))
	for i, p := range partitions {
		asked[i] = kafka.TopicPartition{Topic: &w.cfg.OrdersTopic, Partition: p}
	}
	committed, err := w.member.Committed(asked, int(kafkax.AnswerTimeout.Milliseconds()))
	if err != nil {
		return nil, fmt.Errorf("reading the group's offsets: %w", err)
	}
	for _, tp := range committed {
		if tp.Error != nil {
			return nil, fmt.Errorf("reading the group's offset of partition %d: %w", tp.Partition, tp.Error)
		}
	}
	return committed, nil
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
