package main

import (
	"fmt"
	"time"

	"shopstream/services/internal/event"
)

// ledger is what has been counted in one partition of the orders topic. It
// holds every product ever seen there: the memory grows with the catalogue,
// as the compacted topic does, not with the orders.
type ledger struct {
	partition int32
	totals    map[string]event.Total // by product
	orders    int64                  // in all of them
	// counted is the offset of the last order in the totals, or -1.
	counted int64
	// next is the offset that is read next at the earliest.
	next int64
}

func newLedger(partition int32) *ledger {
	return &ledger{partition: partition, totals: map[string]event.Total{}, counted: -1}
}

// has reports that the order at an offset is in the totals already. Every
// transaction holds the totals of all orders up to the offsets it commits, so
// the greatest offset in any total speaks for all below.
func (l *ledger) has(offset int64) bool { return offset <= l.counted }

// add counts one order.
func (l *ledger) add(o event.Order, offset int64, now time.Time) event.Total {
	t := l.totals[o.Product]
	t.Product, t.Partition = o.Product, l.partition
	t.Quantity += o.Quantity
	t.Orders++
	t.Offset = offset
	t.UpdatedAt = now
	t.SchemaVersion = event.SchemaVersion
	l.totals[o.Product] = t
	l.orders++
	l.counted = offset
	return t
}

// restore takes a total that was read back. The one with the greatest offset
// is the newest, wherever it stands: after partitions were added to the totals
// topic, a key's older total lies in another partition than its newer one.
func (l *ledger) restore(t event.Total) {
	known, ok := l.totals[t.Product]
	if ok && known.Offset >= t.Offset {
		return
	}
	l.totals[t.Product] = t
	l.orders += t.Orders - known.Orders
	l.counted = max(l.counted, t.Offset)
}

// seal is what a transaction writes beside the offset that it commits, and
// what the totals that are read back must come to: without one of them, a
// product would silently start from less than it had.
func (l *ledger) seal() string { return fmt.Sprintf("orders=%d", l.orders) }

// matches compares what was read back with the seal. An offset that was set by
// hand has none.
func (l *ledger) matches(seal *string) error {
	if seal == nil || *seal == "" || *seal == l.seal() {
		return nil
	}
	return fmt.Errorf("partition %d: the totals that were read back come to %s, the last transaction to %s", l.partition, l.seal(), *seal)
}
