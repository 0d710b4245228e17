package main

import (
	"fmt"
	"time"

	"shopstream/services/internal/event"
	"shopstream/services/internal/kafkax"
)

// ledger is what has been counted in one partition of the orders topic. It
// holds every product ever seen there: the memory grows with the catalogue,
// as the compacted topic does, not with the orders.
type ledger struct {
	partition int32
	// log is the id of the totals topic that the count is for.
	log    string
	totals map[string]event.Total // by product
	orders int64                  // in all of them
	// counted is, by log of the orders topic, the last order in the totals. A
	// recreated topic has another log, whose offsets say nothing of this one's.
	counted map[string]kafkax.Position
	latest  event.Total // the total that was written last
}

func newLedger(partition int32, log string) *ledger {
	return &ledger{partition: partition, log: log, totals: map[string]event.Total{}, counted: map[string]kafkax.Position{}}
}

// has reports that the order at a position is in the totals already. Every
// transaction holds the totals of all orders up to the offsets it commits, so
// the last order in any total speaks for all before it.
func (l *ledger) has(at kafkax.Position) bool {
	last, ok := l.counted[at.Log]
	if !ok {
		last, ok = l.counted[unnamed]
	}
	return ok && !after(at, last)
}

// unnamed is the log of totals that earlier versions wrote, which didn't say.
const unnamed = ""

// named says that the log of the orders is known to be another than the one
// that totals without a name speak of, or that others speak of the same.
func (l *ledger) named() { delete(l.counted, unnamed) }

// after reports whether one position in a log came after another. The leader's
// epoch decides before the offset: where a log was cut back, what stands there
// now is newer than what was counted there.
func after(a, b kafkax.Position) bool {
	if a.LeaderEpoch >= 0 && b.LeaderEpoch >= 0 && a.LeaderEpoch != b.LeaderEpoch {
		return a.LeaderEpoch > b.LeaderEpoch
	}
	return a.Offset > b.Offset
}

// add counts one order.
func (l *ledger) add(o event.Order, at kafkax.Position, now time.Time) event.Total {
	t := l.totals[o.Product]
	t.Product, t.Partition = o.Product, l.partition
	t.Quantity += o.Quantity
	t.Orders++
	t.Offset, t.OrdersTopicID, t.LeaderEpoch = at.Offset, at.Log, at.LeaderEpoch
	t.TotalsTopicID = l.log
	t.UpdatedAt = now
	t.SchemaVersion = event.SchemaVersion
	l.totals[o.Product] = t
	l.orders++
	l.counted[at.Log] = at
	return t
}

// restore takes a total that was read back. The one with the most orders is the
// newest, wherever it stands: after partitions were added to the totals topic, a
// key's older total lies in another partition than its newer one.
func (l *ledger) restore(t event.Total) {
	known, ok := l.totals[t.Product]
	if ok && known.Orders >= t.Orders {
		return
	}
	l.totals[t.Product] = t
	l.orders += t.Orders - known.Orders
	at := placeOf(t)
	if last, ok := l.counted[at.Log]; !ok || after(at, last) {
		l.counted[at.Log] = at
	}
	if !t.UpdatedAt.Before(l.latest.UpdatedAt) {
		l.latest = t
	}
}

// placeOf returns where the last order in a total stood.
func placeOf(t event.Total) kafkax.Position {
	return kafkax.Position{Offset: t.Offset, Log: t.OrdersTopicID, LeaderEpoch: t.LeaderEpoch}
}

// resume returns where counting stopped as far as the totals tell, for a group
// whose offset is gone: Kafka deletes those of a topic with it.
func (l *ledger) resume() kafkax.Position {
	last, ok := l.counted[l.latest.OrdersTopicID]
	if !ok {
		return kafkax.Beginning()
	}
	last.Offset++
	return last
}

// seal is what a transaction writes beside the offset that it commits: the
// position's own label, what the totals come to, and for which topic.
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

// matches compares what was read back with the seal: without one of the totals,
// its product would silently start from less than it had. An offset that was set
// by hand has no seal.
func (l *ledger) matches(seal *string) error {
	sealed := kafkax.LabelField(seal, "orders")
	if sealed == "" || sealed == fmt.Sprint(l.orders) {
		return nil
	}
	return fmt.Errorf("partition %d: the totals that were read back come to orders=%d, the last transaction to orders=%s", l.partition, l.orders, sealed)
}
