package main

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// find answers as brokers do: with the first record of a timestamp or a later one.
func (l *logs) find(timestamp func(partition int32) int64) map[int32]int64 {
	found := map[int32]int64{}
	for i, p := range l.partitions {
		at := slices.IndexFunc(p.records, func(r record) bool { return r.timestamp >= timestamp(int32(i)) })
		if at >= 0 {
			found[int32(i)] = p.records[at].offset
		}
	}
	return found
}

// disturb writes, deletes and compacts, as may happen between two pages.
func (l *logs) disturb(rng *rand.Rand) {
	for i := range l.partitions {
		p := &l.partitions[i]
		for range rng.IntN(3) {
			p.records = append(p.records, record{partition: int32(i), offset: p.end, timestamp: int64(900 + rng.IntN(1000))})
			p.end += 1 + int64(rng.IntN(2))
		}
		if rng.IntN(4) == 0 && len(p.records) > 0 { // compaction
			p.records = slices.Delete(slices.Clone(p.records), 0, 1)
		}
		if at := rng.IntN(40); at < len(p.records) && rng.IntN(4) == 0 {
			p.records = slices.Delete(slices.Clone(p.records), at, at+1)
		}
		if rng.IntN(10) == 0 && len(p.records) > 0 { // retention
			p.start = p.records[0].offset + 1
			p.records = p.records[1:]
		}
	}
}

// Whatever the timestamps are, and whatever happens between the pages, a cursor with
// only the last record and the exceptions continues exactly.
func TestDerivedCursorsNeitherOverlapNorMiss(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 3))
		l := randomLogs(rng)
		disturbed := rng.IntN(2) == 0
		first := map[string]bool{}
		for _, records := range l.all() {
			for _, place := range places(records) {
				first[place] = true
			}
		}
		seen := map[string]bool{}
		from, last := l.positions(), newest
		for n := 0; ; n++ {
			if n > 1000 {
				t.Fatalf("seed %d: pages without end", seed)
			}
			tails := newTails(from, l.located())
			if reason, err := readBack(t.Context(), l, "t", tails, 1+rng.IntN(20), 1<<20); err != nil || reason != "" {
				t.Fatal(reason, err)
			}
			page, next := choose(tails, 1+rng.IntN(20))
			for _, place := range places(page) {
				if seen[place] {
					t.Fatalf("seed %d: %s comes twice", seed, place)
				}
				seen[place] = true
			}
			if !remains(tails, next) {
				break
			}
			if len(page) > 0 {
				last = older(last, page[len(page)-1].rank())
			}
			if !last.derivable() {
				t.Fatalf("seed %d: rank %+v", seed, last)
			}
			at := cursor{form: derived, partition: -1, last: last, count: len(l.partitions), positions: exceptions(last, tails, next, l.find(last.lookup))}
			if disturbed {
				l.disturb(rng)
			}
			text, _ := at.encode()
			back, err := parseCursor(text)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			from = back.derive(l.located(), l.find(back.last.lookup))
		}
		// What was deleted meanwhile is not expected.
		for _, records := range l.all() {
			for _, place := range places(records) {
				if first[place] && !seen[place] {
					t.Fatalf("seed %d: %s doesn't come", seed, place)
				}
			}
		}
	}
}

// If timestamps are in order, there are no exceptions, and the cursor is short for any
// number of partitions.
func TestTimestampsInOrderNeedNoExceptions(t *testing.T) {
	l := &logs{}
	for p := range 1000 {
		part := log{end: int64(p % 7)}
		for i := range part.end {
			part.records = append(part.records, record{partition: int32(p), offset: i, timestamp: 1_700_000_000_000 + i/2}) // many share one
		}
		l.partitions = append(l.partitions, part)
	}
	from, seen := l.positions(), 0
	for more := true; more; {
		tails := newTails(from, l.located())
		if _, err := readBack(t.Context(), l, "t", tails, 100, 1<<30); err != nil {
			t.Fatal(err)
		}
		page, next := choose(tails, 100)
		seen += len(page)
		more = remains(tails, next)
		last := page[len(page)-1].rank()
		at := cursor{form: derived, partition: -1, last: last, count: 1000, positions: exceptions(last, tails, next, l.find(last.lookup))}
		if text, fits := at.encode(); !fits || len(text) > 100 || len(at.positions) > 0 {
			t.Fatalf("a cursor of %d characters, %d exceptions", len(text), len(at.positions))
		}
		from = at.derive(l.located(), l.find(last.lookup))
	}
	if want := 1000 / 7 * 21; seen < want {
		t.Errorf("%d records", seen)
	}
}

func TestMemoryDropsTheLeastRecentlyUsed(t *testing.T) {
	m := newMemory(100_000)
	positions := func(n int, end int64) (all []position) {
		for i := range n {
			all = append(all, position{partition: int32(i), end: end})
		}
		return all
	}
	first := m.keep(positions(1000, 5))
	if m.keep(positions(1000, 5)) != first {
		t.Error("the same positions have another key")
	}
	if got, ok := m.get(first, 0); !ok || len(got) != 1000 || got[999].end != 5 {
		t.Errorf("got %d positions, %v", len(got), ok)
	}
	if _, ok := m.get(first, 1); ok {
		t.Error("got positions for a step that doesn't exist")
	}

	stream := m.begin(positions(3, 0))
	for i := range 3 * mostSteps {
		if n := m.step(stream, step{int32(i % 3), int64(i/3 + 1)}); n != i+1 {
			t.Fatalf("step %d is %d", i+1, n)
		}
	}
	for _, back := range []int{0, 1, 100, mostSteps / 2} {
		n := 3*mostSteps - back
		got, ok := m.get(stream, n)
		if !ok {
			t.Fatalf("%d steps back: forgotten", back)
		}
		if sum := got[0].end + got[1].end + got[2].end; sum != int64(n) {
			t.Errorf("%d steps back: %v", back, got)
		}
	}
	if _, ok := m.get(stream, 1); ok {
		t.Error("positions this far back should be dropped")
	}

	for i := range 200 {
		m.keep(positions(1000, int64(i+100)))
		if m.size > m.most {
			t.Fatalf("%d bytes", m.size)
		}
	}
	if _, ok := m.get(first, 0); ok {
		t.Error("the oldest positions should have been dropped")
	}
	if m.step(stream, step{0, 1}) != 0 {
		t.Error("added a step to positions that were dropped")
	}
	size := 0
	for e := m.order.Front(); e != nil; e = e.Next() {
		size += e.Value.(*kept).size()
	}
	if size != m.size || len(m.held) != m.order.Len() {
		t.Errorf("%d bytes are counted as %d, %d of %d", size, m.size, len(m.held), m.order.Len())
	}
}
