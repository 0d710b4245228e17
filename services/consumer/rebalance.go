package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/retry"
)

// tellAgain is the time between warnings about a lasting fault.
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

// assigned restores the totals of partitions before reading their first order.
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
	// Orders that are not committed are read by the next owner.
	w.batch = slices.DeleteFunc(w.batch, func(i item) bool {
		return slices.Contains(partitions, i.message.TopicPartition.Partition)
	})
	w.metrics.products.Set(float64(w.products()))
	w.log.Info("partitions revoked", "partitions", partitions, "lost", w.member.AssignmentLost())
}

// take reads the group's offsets and the totals of these partitions, and starts reading
// the orders from there.
//
// The offsets come first: a predecessor that lost its partitions may still commit a
// transaction whose offsets it has sent, and the coordinator answers only once its
// outcome is known. Totals that are read after that include all of its work. In the
// other order the offsets could be newer than the totals, and orders would be missing
// from them.
func (w *worker) take(ctx context.Context, partitions []int32) error {
	var told time.Time
	for {
		err := w.restore(ctx, partitions)
		if err == nil || ctx.Err() != nil || isFatal(err) || w.member.AssignmentLost() {
			return err
		}
		if time.Since(told) > tellAgain {
			told = time.Now()
			w.log.Warn("partitions can't be restored yet", "partitions", partitions, "error", err)
		}
		retry.Sleep(ctx, idlePoll)
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
		l.committed = w.positionIn(l, tp)
		positions[tp.Partition] = l.committed
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

// positionIn returns where to continue from the group's committed offset.
func (w *worker) positionIn(l *ledger, committed kafka.TopicPartition) kafkax.Position {
	if committed.Offset < 0 {
		return l.resume()
	}
	at := kafkax.PositionOf(int64(committed.Offset), committed.Metadata)
	if at.Log != "" || len(l.counted) > 1 {
		l.named()
	}
	if l.has(at) {
		w.log.Warn("the group's offset is before orders that are in the totals, which are skipped: the offset was set back (to count again, recreate the totals topic), or another instance has taken over",
			"partition", l.partition, "offset", at.Offset)
	}
	return at
}

// committed reads the group's offsets. With read_committed the client requests stable
// offsets: while a transaction with offsets of the group is open, the coordinator
// returns an error.
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
