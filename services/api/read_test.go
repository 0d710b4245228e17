package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// log is a partition in memory: its records by offset, with holes where
// markers, aborted or compacted records were.
type log struct {
	start, end int64
	records    []record
}

// logs is a topic in memory. It counts what a pass reads.
type logs struct {
	partitions []log
	fetches    int
	delay      time.Duration // per record
}

func (l *logs) fetch(ctx context.Context, _ string, windows []window, each func(record) error) error {
	l.fetches++
	for _, w := range windows {
		p := l.partitions[w.partition]
		if w.start < p.start || w.end > p.end || w.start >= w.end {
			return fmt.Errorf("window %+v is not within the log [%d, %d)", w, p.start, p.end)
		}
		for _, r := range p.records {
			if r.offset < w.start || r.offset >= w.end {
				continue
			}
			if l.delay > 0 {
				select {
				case <-time.After(l.delay):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			if err := each(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *logs) positions() []position {
	var all []position
	for i, p := range l.partitions {
		all = append(all, position{partition: int32(i), end: p.end})
	}
	return all
}

func (l *logs) located() []located {
	var all []located
	for i, p := range l.partitions {
		all = append(all, located{int32(i), extent{p.start, p.end}})
	}
	return all
}

// page reads one page as the service does.
func (l *logs) page(t *testing.T, ctx context.Context, from []position, limit int, budget int64) (page []record, next []position, more bool, reason string) {
	t.Helper()
	tails := newTails(from, l.located())
	reason, err := readBack(ctx, l, "t", tails, limit, budget)
	if err != nil {
		t.Fatal(err)
	}
	page, next = choose(tails, limit)
	if next == nil {
		return nil, from, true, reason
	}
	return page, next, remains(tails, next), reason
}

// lastN is the definition, written a second time.
func lastN(perPartition [][]record, n int) []record {
	var all []record
	for _, records := range perPartition {
		all = append(all, records[max(0, len(records)-n):]...)
	}
	slices.SortFunc(all, func(a, b record) int {
		return cmp.Or(cmp.Compare(b.timestamp, a.timestamp), cmp.Compare(b.partition, a.partition), cmp.Compare(b.offset, a.offset))
	})
	return all[:min(n, len(all))]
}

func places(records []record) []string {
	list := make([]string, len(records))
	for i, r := range records {
		list[i] = fmt.Sprintf("%d/%d", r.partition, r.offset)
	}
	return list
}

// randomLogs makes a topic: skewed, with holes, and with ordered, jittering, reversed or
// random timestamps.
func randomLogs(rng *rand.Rand) *logs {
	l := &logs{}
	disorder := rng.IntN(4)
	for p := range 1 + rng.IntN(6) {
		length := rng.IntN(60)
		if rng.IntN(4) == 0 {
			length = 0
		}
		holes := rng.IntN(3)
		part := log{start: int64(rng.IntN(20))}
		offset := part.start
		for i := range length {
			offset += int64(rng.IntN(1 + holes*3))
			timestamp := int64(1000 + i*5)
			switch disorder {
			case 1:
				timestamp += int64(rng.IntN(40))
			case 2:
				timestamp = int64(1000 - i*5)
			case 3:
				timestamp = int64(rng.IntN(100))
			}
			part.records = append(part.records, record{
				partition: int32(p), offset: offset, timestamp: timestamp, value: make([]byte, rng.IntN(100)),
			})
			offset++
		}
		part.end = offset + int64(rng.IntN(1+holes*10))
		l.partitions = append(l.partitions, part)
	}
	return l
}

func (l *logs) all() [][]record {
	var all [][]record
	for _, p := range l.partitions {
		all = append(all, p.records)
	}
	return all
}

func TestLastNIsWhatItsDefinitionSays(t *testing.T) {
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		l := randomLogs(rng)
		for _, limit := range []int{1, 2, 7, 30, 1000} {
			page, _, _, reason := l.page(t, t.Context(), l.positions(), limit, 1<<20)
			if reason != "" {
				t.Fatalf("seed %d: incomplete: %s", seed, reason)
			}
			if got, want := places(page), places(lastN(l.all(), limit)); !slices.Equal(got, want) {
				t.Fatalf("seed %d, limit %d:\n got %v\nwant %v", seed, limit, got, want)
			}
		}
	}
}

// Whatever the timestamps and the budget, pages contain every record once, each page is
// sorted, and if the log is in order, so are all pages together.
func TestPagesNeitherOverlapNorMiss(t *testing.T) {
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		l := randomLogs(rng)
		budget := int64(1 << 20)
		if rng.IntN(2) == 0 {
			budget = 40_000
		}
		var want []string
		for _, records := range l.all() {
			want = append(want, places(records)...)
		}
		var got []string
		from := l.positions()
		for range 10000 {
			limit := 1 + rng.IntN(20)
			page, next, more, reason := l.page(t, t.Context(), from, limit, budget)
			if reason != "" && len(page) == 0 {
				t.Fatalf("seed %d: no progress: %s", seed, reason)
			}
			if !slices.IsSortedFunc(page, func(a, b record) int { return b.rank().compare(a.rank()) }) {
				t.Fatalf("seed %d: a page out of order", seed)
			}
			got = append(got, places(page)...)
			if !more {
				break
			}
			text, fits := cursor{partition: -1, last: newest, positions: next}.encode()
			c, err := parseCursor(text)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if !fits {
				t.Fatalf("seed %d: a cursor of %d characters", seed, len(text))
			}
			from = c.positions
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d:\n got %v\nwant %v", seed, got, want)
		}
	}
}

func TestReversedTimestampsKeepTheCursorSmall(t *testing.T) {
	l := &logs{}
	for p := range 8 {
		part := log{end: 1000}
		for i := range int64(1000) {
			part.records = append(part.records, record{partition: int32(p), offset: i, timestamp: 1_700_000_000_000 - i*10 + int64(p)})
		}
		l.partitions = append(l.partitions, part)
	}
	from, seen := l.positions(), map[string]bool{}
	for more := true; more; {
		var page []record
		page, from, more, _ = l.page(t, t.Context(), from, 100, 1<<30)
		for _, place := range places(page) {
			if seen[place] {
				t.Fatalf("%s came twice", place)
			}
			seen[place] = true
		}
		if text, fits := (cursor{last: newest, positions: from}).encode(); !fits {
			t.Fatalf("a cursor of %d characters", len(text))
		}
	}
	if len(seen) != 8000 {
		t.Errorf("%d records of 8000", len(seen))
	}
}

func TestASparseLogTakesFewPasses(t *testing.T) {
	l := &logs{partitions: []log{{end: 1 << 30, records: []record{{offset: 5, timestamp: 1}, {offset: 1 << 20, timestamp: 2}}}}}
	page, _, more, reason := l.page(t, t.Context(), l.positions(), 10, 1<<20)
	if got := places(page); !slices.Equal(got, []string{"0/1048576", "0/5"}) || more || reason != "" {
		t.Errorf("got %v, more %v, reason %q", got, more, reason)
	}
	if l.fetches > 30 {
		t.Errorf("%d passes", l.fetches)
	}
}

// If the budget is too small for the whole response, a shorter one is exact.
func TestByteBudgetShortensTheAnswer(t *testing.T) {
	l := &logs{}
	for p := range 4 {
		part := log{end: 200}
		for i := range int64(200) {
			part.records = append(part.records, record{partition: int32(p), offset: i, timestamp: i, value: make([]byte, 100_000)})
		}
		l.partitions = append(l.partitions, part)
	}
	page, _, more, reason := l.page(t, t.Context(), l.positions(), 100, 16<<20)
	if reason != reasonBytes || !more {
		t.Errorf("reason %q, more %v", reason, more)
	}
	// 16 MiB are 167 records, 41 of each partition; an eighth may be added.
	if len(page) < 25 || len(page) > 47 {
		t.Errorf("%d records", len(page))
	}
	if want := lastN(l.all(), len(page)); !slices.Equal(places(page), places(want)) {
		t.Errorf("got %v, want %v", places(page), places(want))
	}
}

func TestTimeBudgetShortensTheAnswer(t *testing.T) {
	l := &logs{delay: time.Millisecond}
	for p := range 2 {
		part := log{end: 1000}
		for i := range int64(1000) {
			part.records = append(part.records, record{partition: int32(p), offset: i, timestamp: i})
		}
		l.partitions = append(l.partitions, part)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	page, _, _, reason := l.page(t, ctx, l.positions(), 1000, 1<<20)
	if reason != reasonTime || len(page) == 0 {
		t.Fatalf("reason %q, %d records", reason, len(page))
	}
	if want := lastN(l.all(), len(page)); !slices.Equal(places(page), places(want)) {
		t.Errorf("got %v, want %v", places(page), places(want))
	}
}
