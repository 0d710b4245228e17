package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The brokers are "0:a 1:b", id and rack; the partitions are lists of replicas.
func TestPlacement(t *testing.T) {
	tests := []struct {
		name    string
		brokers string
		now     [][]int32
		factor  int
		want    [][]int32
	}{
		{"what is even stays", "0 1 2", [][]int32{{0, 1, 2}, {1, 2, 0}, {2, 0, 1}}, 3, [][]int32{{0, 1, 2}, {1, 2, 0}, {2, 0, 1}}},
		{"one broker becomes three", "0 1 2", [][]int32{{0}, {0}, {0}}, 3, [][]int32{{2, 1, 0}, {1, 0, 2}, {0, 1, 2}}},
		{"more replicas than declared are kept", "0 1 2", [][]int32{{0, 1, 2}}, 1, [][]int32{{0, 1, 2}}},
		{"a broker that goes gives its place to another", "0 1 2", [][]int32{{3, 1, 2}}, 3, [][]int32{{0, 1, 2}}},
		{"a new replica goes to another rack", "0:a 1:a 2:b", [][]int32{{0}}, 2, [][]int32{{0, 2}}},
		{"a replica stays in its rack where there is no other one", "0:a 1:b 3:b", [][]int32{{0, 1}, {0, 1}}, 2, [][]int32{{3, 0}, {0, 1}}},
		{"leaders are shared without moving data", "0 1", [][]int32{{0, 1}, {0, 1}}, 2, [][]int32{{1, 0}, {0, 1}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			now := placed("orders", test.now)
			moves, err := place(brokersOf(test.brokers), now, map[string]int{"orders": test.factor})
			if err != nil {
				t.Fatal(err)
			}
			var got [][]int32
			for _, p := range after(now, moves) {
				got = append(got, p.replicas)
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("%v becomes %v, want %v", test.now, got, test.want)
			}
		})
	}
}

func TestTooFewBrokersForATopicAreRefused(t *testing.T) {
	_, err := place(brokersOf("0 1"), placed("orders", [][]int32{{0, 1, 2}}), nil)
	if err == nil || !strings.Contains(err.Error(), `"orders"`) || !strings.Contains(err.Error(), "at least 3") {
		t.Errorf("the error is %v", err)
	}
}

// Growing from three brokers to five and back, with and without racks: no partition has
// a replica twice or loses a rack, shares are fair, no more is moved than necessary, and a
// placement is stable.
func TestPlacementsAreFairAndMoveLittle(t *testing.T) {
	for _, racks := range [][2]string{{"0 1 2", "0 1 2 3 4"}, {"0:a 1:b 2:c", "0:a 1:b 2:c 3:a 4:b"}, {"0:a 1:b 2:c", "0:a 1:b 2:c 3:a 4:b 5:c"}} {
		few, many := brokersOf(racks[0]), brokersOf(racks[1])
		var now []partition
		for _, topic := range []string{"orders", "purchases", "totals", "__consumer_offsets"} {
			for i := range int32(7 + len(topic)) {
				now = append(now, partition{topic, i, []int32{i % 3, (i + 1) % 3, (i + 2) % 3}})
			}
		}
		grown := replaced(t, many, now)
		moved := 0
		for i := range grown {
			for _, id := range grown[i].replicas {
				if !slices.Contains(now[i].replicas, id) {
					moved++
				}
			}
		}
		// Each new broker's fair share, and what makes each topic even.
		if most := 3*len(now)*(len(many)-len(few))/len(many) + 4*len(many); moved > most {
			t.Errorf("%v: %d of %d replicas were moved, %d would do", racks, moved, 3*len(now), most)
		}
		back := replaced(t, few, grown)
		for _, p := range back {
			for _, id := range p.replicas {
				if id > 2 {
					t.Fatalf("%v: %v is still on broker %d", racks, p, id)
				}
			}
		}
	}
}

// replaced places the partitions and checks the result.
func replaced(t *testing.T, brokers []node, now []partition) []partition {
	t.Helper()
	moves, err := place(brokers, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	next := after(now, moves)
	if again, _ := place(brokers, next, nil); len(again) > 0 {
		t.Errorf("a second placement moves %v", again)
	}
	racked := map[int32]string{}
	distinct := map[string]bool{}
	for _, b := range brokers {
		racked[b.id] = b.rack
		distinct[b.rack] = true
	}
	leaders := map[int32]int{}
	held := map[int32]int{}
	for i, p := range next {
		racks := map[string]bool{}
		for _, id := range p.replicas {
			racks[racked[id]] = true
			held[id]++
		}
		if len(p.replicas) != len(now[i].replicas) || len(slices.Compact(slices.Sorted(slices.Values(p.replicas)))) != len(p.replicas) {
			t.Errorf("%v becomes %v", now[i], p)
		}
		if len(racks) < min(len(distinct), len(p.replicas)) {
			t.Errorf("%v is in the racks %v", p, racks)
		}
		leaders[p.replicas[0]]++
	}
	if len(distinct) == 1 || len(brokers)%len(distinct) == 0 {
		fair(t, "replicas", brokers, held)
	}
	fair(t, "leaders", brokers, leaders)
	return next
}

func fair(t *testing.T, what string, brokers []node, share map[int32]int) {
	t.Helper()
	least, most := share[brokers[0].id], share[brokers[0].id]
	for _, b := range brokers {
		least, most = min(least, share[b.id]), max(most, share[b.id])
	}
	if most-least > 3 {
		t.Errorf("%s by broker: %v", what, share)
	}
}

func after(now, moves []partition) []partition {
	next := slices.Clone(now)
	for _, m := range moves {
		i := slices.IndexFunc(next, func(p partition) bool { return p.topic == m.topic && p.number == m.number })
		next[i] = m
	}
	return next
}

func brokersOf(text string) []node {
	var list []node
	for i, field := range strings.Fields(text) {
		id, rack, _ := strings.Cut(field, ":")
		b := node{id: int32(i), rack: rack}
		_, _ = fmt.Sscan(id, &b.id)
		list = append(list, b)
	}
	return list
}

func placed(topic string, replicas [][]int32) []partition {
	var list []partition
	for i, r := range replicas {
		list = append(list, partition{topic, int32(i), r})
	}
	return list
}
