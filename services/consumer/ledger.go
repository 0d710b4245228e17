package main

import (
	"fmt"
	"time"

	"shopstream/services/internal/event"
	"shopstream/services/internal/kafkax"
)

// ledger holds the totals of one partition of the orders topic, for every product ever
// seen there. Like the compacted topic, its size grows with the number of products,
// not of orders.
type ledger struct {
	partition int32
	// log is the id of the totals topic that the totals belong to.
	log    string
	totals map[string]*event.Total // by product
	orders int64                   // in all of them
	size   int                     // of all of them, see sizeOf
	// counted is the last order in the totals, by log of the orders topic. A
	// recreated topic has another log, whose offsets are unrelated.
	counted map[string]kafkax.Position
	latest  event.Total // the last total written
	// committed is the group's last known position.
	committed kafkax.Position
}

func newLedger(partition int32, log string) *ledger {
	return &ledger{partition: partition, log: log, totals: map[string]*event.Total{}, counted: map[string]kafkax.Position{}}
}

// has reports whether the order at a position is in the totals already. A transaction
// contains the totals of all orders up to the offsets that it commits, so all orders
// before the last one in any total are counted too.
func (l *ledger) has(at kafkax.Position) bool {
	last, ok := l.counted[at.Log]
	if !ok {
		last, ok = l.counted[unnamed]
	}
	return ok && !after(at, last)
}

// unnamed is the log of totals written by earlier versions, which didn't name it.
const unnamed = ""

// named says that the log of the orders is known not to be the one of totals without
// a log's name, or that other totals name it.
func (l *ledger) named() { delete(l.counted, unnamed) }

// after reports whether one position in a log comes after another. The leader epoch
// takes precedence over the offset: after a log was truncated, the records at the same
// offsets are newer than those that were counted.
func after(a, b kafkax.Position) bool {
	if a.LeaderEpoch >= 0 && b.LeaderEpoch >= 0 && a.LeaderEpoch != b.LeaderEpoch {
		return a.LeaderEpoch > b.LeaderEpoch
	}
	return a.Offset > b.Offset
}

// sizeOf returns how much of PRODUCTS_LIMIT a product takes: 1 for each usualName bytes of its
// name that have begun. A name may have up to 800 bytes.
func sizeOf(product string) int { return (len(product) + usualName - 1) / usualName }

// usualName is how many bytes the names of most products have at most.
const usualName = 100

// add counts one order, and returns the total that it changed.
func (l *ledger) add(o event.Order, at kafkax.Position, now time.Time) *event.Total {
	t := l.totals[o.Product]
	if t == nil {
		t = &event.Total{Product: o.Product, Partition: l.partition}
		l.totals[o.Product] = t
		l.size += sizeOf(o.Product)
	}
	t.Quantity += o.Quantity
	t.Orders++
	t.Offset, t.OrdersTopicID, t.LeaderEpoch = at.Offset, at.Log, at.LeaderEpoch
	t.TotalsTopicID = l.log
	t.UpdatedAt = now
	t.SchemaVersion = event.SchemaVersion
	l.orders++
	l.counted[at.Log] = at
	return t
}

// restore takes a total that was read back. The one with the most orders is the
// newest, whatever its position: after partitions were added to the totals topic, an
// older and a newer total of a key can be in different partitions.
func (l *ledger) restore(t event.Total) {
	known := l.totals[t.Product]
	switch {
	case known == nil:
		l.orders += t.Orders
		l.size += sizeOf(t.Product)
	case known.Orders >= t.Orders:
		return
	default:
		l.orders += t.Orders - known.Orders
	}
	l.totals[t.Product] = &t
	at := placeOf(t)
	if last, ok := l.counted[at.Log]; !ok || after(at, last) {
		l.counted[at.Log] = at
	}
	if !t.UpdatedAt.Before(l.latest.UpdatedAt) {
		l.latest = t
	}
}

// placeOf returns the position of the last order in a total.
func placeOf(t event.Total) kafkax.Position {
	return kafkax.Position{Offset: t.Offset, Log: t.OrdersTopicID, LeaderEpoch: t.LeaderEpoch}
}

// resume returns where counting stopped according to the totals, for a group without
// an offset: Kafka deletes a topic's offsets together with the topic.
func (l *ledger) resume() kafkax.Position {
	last, ok := l.counted[l.latest.OrdersTopicID]
	if !ok {
		return kafkax.Beginning()
	}
	last.Offset++
	return last
}

// seal is the metadata that a transaction commits with its offset: the position's
// label, the number of orders in the totals, and the id of the totals topic.
func (l *ledger) seal(at kafkax.Position) string {
	seal := fmt.Sprintf("orders=%d", l.orders)
	if l.log != "" {
		seal += " totals=" + l.log
	}
	if label := at.Label(); label != "" {
		seal += " " + label
	}
	return seal
}

// matches compares the totals that were read back with the seal, because a missing
// total would silently make its product start from less. An offset that was set by
// hand has no seal.
func (l *ledger) matches(seal *string) error {
	sealed := kafkax.LabelField(seal, "orders")
	if sealed == "" || sealed == fmt.Sprint(l.orders) {
		return nil
	}
	return fmt.Errorf("partition %d: the totals that were read back contain orders=%d, but the last transaction says orders=%s", l.partition, l.orders, sealed)
}
