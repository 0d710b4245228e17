package main

import (
	"testing"

	"shopstream/services/internal/event"
	"shopstream/services/internal/kafkax"
)

func TestWhatIsCountedAlready(t *testing.T) {
	total := func(product string, orders, offset int64, log string, epoch int32) event.Total {
		return event.Total{Product: product, Orders: orders, Offset: offset, OrdersTopicID: log, LeaderEpoch: epoch}
	}
	tests := map[string]struct {
		totals []event.Total
		at     kafkax.Position
		want   bool
	}{
		"nothing is counted":                      {nil, kafkax.Position{Offset: 0, Log: "a", LeaderEpoch: 0}, false},
		"the last order":                          {[]event.Total{total("x", 9, 8, "a", 5)}, kafkax.Position{Offset: 8, Log: "a", LeaderEpoch: 5}, true},
		"the one after":                           {[]event.Total{total("x", 9, 8, "a", 5)}, kafkax.Position{Offset: 9, Log: "a", LeaderEpoch: 5}, false},
		"one before, of another product":          {[]event.Total{total("x", 9, 8, "a", 5), total("y", 1, 2, "a", 5)}, kafkax.Position{Offset: 5, Log: "a", LeaderEpoch: 5}, true},
		"the same place in a recreated topic":     {[]event.Total{total("x", 9, 8, "a", 5)}, kafkax.Position{Offset: 3, Log: "b", LeaderEpoch: 0}, false},
		"counted in the recreated topic":          {[]event.Total{total("x", 9, 8, "a", 5), total("y", 12, 3, "b", 0)}, kafkax.Position{Offset: 3, Log: "b", LeaderEpoch: 0}, true},
		"where the log was cut back":              {[]event.Total{total("x", 9, 8, "a", 5)}, kafkax.Position{Offset: 6, Log: "a", LeaderEpoch: 6}, false},
		"before where it was cut back":            {[]event.Total{total("x", 9, 8, "a", 5), total("y", 4, 6, "a", 6)}, kafkax.Position{Offset: 4, Log: "a", LeaderEpoch: 5}, true},
		"after where it was cut back and counted": {[]event.Total{total("x", 9, 8, "a", 5), total("y", 4, 6, "a", 6)}, kafkax.Position{Offset: 7, Log: "a", LeaderEpoch: 6}, false},
		"totals of an earlier version":            {[]event.Total{total("x", 9, 8, "", -1)}, kafkax.Position{Offset: 8, Log: "a", LeaderEpoch: 5}, true},
		"behind those":                            {[]event.Total{total("x", 9, 8, "", -1)}, kafkax.Position{Offset: 9, Log: "a", LeaderEpoch: 5}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, reversed := range []bool{false, true} { // partitions of the totals are read in any order
				l := newLedger(0, "")
				for i := range tt.totals {
					if reversed {
						i = len(tt.totals) - 1 - i
					}
					l.restore(tt.totals[i])
				}
				if got := l.has(tt.at); got != tt.want {
					t.Errorf("has(%+v) = %v", tt.at, got)
				}
			}
		})
	}
}

// A total of a former log may have the greater offset: the one with more orders is the
// newer one.
func TestTheTotalWithMoreOrdersIsTheNewer(t *testing.T) {
	before := event.Total{Product: "x", Orders: 100, Quantity: 200, Offset: 99, OrdersTopicID: "a"}
	after := event.Total{Product: "x", Orders: 103, Quantity: 206, Offset: 2, OrdersTopicID: "b"}
	for _, totals := range [][]event.Total{{before, after}, {after, before}} {
		l := newLedger(0, "")
		for _, total := range totals {
			l.restore(total)
		}
		if got := *l.totals["x"]; got != after || l.orders != 103 {
			t.Errorf("given %+v, counting continues from %+v with %d orders", totals, got, l.orders)
		}
	}
}
