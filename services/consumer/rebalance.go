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

// tellAgain is the time between warnings about a lasting fault.
const tellAgain = 10 * time.Second

// rebalance is called inside a poll, between two transactions. It must return soon: a
// member learns that it was removed from the group, and joins again, only after that.
func (w *worker) rebalance(e kafka.Event) {
	switch e := e.(type) {
	case kafka.AssignedPartitions:
		w.assigned(e.Partitions)
	case kafka.RevokedPartitions:
		w.revoked(partitionsOf(e.Partitions))
	}
}

func (w *worker) assigned(assigned []kafka.TopicPartition) {
	if len(assigned) == 0 {
		return
	}
	w.failure = errors.Join(w.failure, kafkax.Hold(w.member, assigned))
	w.await(partitionsOf(assigned))
}

// await makes partitions pending.
func (w *worker) await(partitions []int32) {
	w.pending = append(w.pending, partitions...)
	w.attempts, w.retry, w.told = 0, time.Time{}, time.Time{}
}

func (w *worker) revoked(partitions []int32) {
	w.reader.Remove(partitions...)
	for _, p := range partitions {
		delete(w.ledgers, p)
		delete(w.next, p)
	}
	w.pending = slices.DeleteFunc(w.pending, func(p int32) bool { return slices.Contains(partitions, p) })
	// Orders that are not committed are read by the next owner.
	w.batch = slices.DeleteFunc(w.batch, func(i item) bool {
		return slices.Contains(partitions, i.message.TopicPartition.Partition)
	})
	w.metrics.products.Set(float64(w.products()))
	w.log.Info("partitions revoked", "partitions", partitions, "lost", w.member.AssignmentLost())
}

// takePending restores the totals of pending partitions before their first order is read.
// If that fails, the group is polled before the next attempt: the partitions may have
// another owner by now, whose work would make every attempt fail.
func (w *worker) takePending(ctx context.Context) error {
	if len(w.pending) == 0 || time.Now().Before(w.retry) {
		return nil
	}
	start := time.Now()
	before := slices.Clone(w.pending)
	err := w.restore(ctx)
	w.attempts++
	w.retry = time.Now().Add(retries.After(w.attempts))
	taken := slices.DeleteFunc(before, func(p int32) bool { return w.ledgers[p] == nil })
	if len(taken) > 0 {
		w.metrics.products.Set(float64(w.products()))
		w.log.Info("partitions assigned", "partitions", taken, "totals", w.products(), "took", time.Since(start))
	}
	switch {
	case err == nil, ctx.Err() != nil:
		return nil
	case isFatal(err):
		return fmt.Errorf("taking partitions %v: %w", w.pending, err)
	}
	if time.Since(w.told) > tellAgain {
		w.told = time.Now()
		w.log.Warn("partitions can't be restored yet", "partitions", w.pending, "error", err)
	}
	return nil
}

// restore reads the group's offsets and the totals of the pending partitions, and starts
// reading the orders from there. A partition whose totals are incomplete stays pending.
//
// The offsets come first: a predecessor that lost its partitions may still commit a
// transaction whose offsets it has sent, and the coordinator answers only once its
// outcome is known. Totals that are read after that include all of its work. In the
// other order the offsets could be newer than the totals, and orders would be missing
// from them.
func (w *worker) restore(ctx context.Context) error {
	committed, err := w.decided(ctx)
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
		l, at, err := w.resume(ledgers[tp.Partition], tp)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		positions[tp.Partition], w.ledgers[tp.Partition] = at, l
	}
	w.pending = slices.DeleteFunc(w.pending, func(p int32) bool { return w.ledgers[p] != nil })
	w.reader.Assign(positions)
	return errors.Join(faults...)
}

// resume returns the ledger to continue with, and the position, given what was read back
// and what the group has committed.
func (w *worker) resume(l *ledger, committed kafka.TopicPartition) (*ledger, kafkax.Position, error) {
	if counted := kafkax.LabelField(committed.Metadata, "totals"); counted != "" && counted != l.log {
		w.log.Error("the totals topic was recreated: the orders are counted again from the beginning of their log",
			"partition", l.partition, "topic", w.cfg.TotalsTopic, "log_before", counted, "log_now", l.log, "orders_before", kafkax.LabelField(committed.Metadata, "orders"))
		return newLedger(l.partition, l.log), kafkax.Beginning(), nil
	}
	if err := l.matches(committed.Metadata); err != nil {
		return nil, kafkax.Position{}, err
	}
	l.committed = w.positionIn(l, committed)
	return l, l.committed, nil
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

// decided reads the group's offsets of the pending partitions. If a transaction leaves them
// undecided, it ends those of dead instances and reads again.
func (w *worker) decided(ctx context.Context) ([]kafka.TopicPartition, error) {
	committed, err := w.committed(w.pending, commitTakes)
	if err == nil || ctx.Err() != nil {
		return committed, err
	}
	fault := w.endAbandoned(ctx)
	if committed, err = w.committed(w.pending, kafkax.AnswerTimeout); err != nil {
		return nil, errors.Join(err, fault)
	}
	return committed, nil
}

// committed reads the group's offsets. With read_committed the client requests stable
// offsets: while a transaction with offsets of the group is open, it asks again until
// within is over.
func (w *worker) committed(partitions []int32, within time.Duration) ([]kafka.TopicPartition, error) {
	asked := make([]kafka.TopicPartition, len(partitions))
	for i, p := range partitions {
		asked[i] = kafka.TopicPartition{Topic: &w.cfg.OrdersTopic, Partition: p}
	}
	committed, err := w.member.Committed(asked, int(within.Milliseconds()))
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
