package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// What "the last N records of a topic" means here, exactly:
//
// Take from each partition its last N records by offset, below the end that
// was captured when the request came. Of all these, the answer is the N newest
// by (timestamp, partition, offset), newest first.
//
// Where timestamps never decrease within a partition, which is what brokers
// that stamp records (LogAppendTime) give and producers with a sane clock too,
// these are the N newest records of the topic. Where producers set odd
// timestamps, the log's own order says what is recent within a partition, so
// that a record stamped in the far future or past can't hide what was written
// after it.
//
// A record is what a consumer of that isolation level is given: transaction
// markers, aborted records and what compaction removed don't count to N.
// Everything here is about choosing; fetching is behind the fetcher.

// record is one record as read from Kafka.
type record struct {
	partition  int32
	offset     int64
	timestamp  int64 // milliseconds; -1: none
	appendTime bool  // stamped by the broker
	key, value []byte
	headers    []kafka.Header
}

func (r *record) rank() rank { return rank{r.timestamp, r.partition, r.offset} }

func (r *record) size() int64 {
	n := len(r.key) + len(r.value) + recordCost
	for _, h := range r.headers {
		n += len(h.Key) + len(h.Value) + headerCost
	}
	return int64(n)
}

// becomes is how many bytes a record is in an answer, where that could be many.
func (r *record) becomes() int64 {
	if n := r.size(); n < manyBytes {
		return n
	}
	n := jsonSize(r.key) + jsonSize(r.value)
	for _, h := range r.headers {
		n += jsonSize([]byte(h.Key)) + jsonSize(h.Value) + headerCost
	}
	return int64(n)
}

// manyBytes is below what any limit divided by mostEscaped comes to.
const manyBytes = 64 << 10

// What a record and a header take in memory beside their bytes.
const (
	recordCost = 256
	headerCost = 64
)

// rank is a record's place in the order of answers; no two records share one.
type rank struct {
	timestamp int64
	partition int32
	offset    int64
}

// compare is negative when r is older than b.
func (r rank) compare(b rank) int {
	return cmp.Or(cmp.Compare(r.timestamp, b.timestamp), cmp.Compare(r.partition, b.partition), cmp.Compare(r.offset, b.offset))
}

// older returns the older of two.
func older(a, b rank) rank {
	if a.compare(b) < 0 {
		return a
	}
	return b
}

// window is a stretch of a partition's log: offsets from start up to, not
// including, end.
type window struct {
	partition  int32
	start, end int64
}

// fetcher reads the records of windows, at most one window a partition. It
// calls each for every record in a window, in offset order within a partition,
// and returns nil once all windows have been read to their ends; or the error
// that each returned, or that of ctx.
type fetcher interface {
	fetch(ctx context.Context, topic string, windows []window, each func(record) error) error
}

// tail is one partition, read backwards from its end.
type tail struct {
	position       // what earlier pages have taken
	start    int64 // of the log: there is nothing below
	logEnd   int64
	low      int64    // where reading ends: start, or above it
	reached  int64    // all of [reached, end) has been read
	window   int64    // least length of the next window
	found    []record // not taken yet, by ascending offset

	match  func(*record) bool // nil: every record counts
	oldest int64              // timestamp of the one at the lowest offset that was read
}

// counts reports whether a record may be in the answer.
func (t *tail) counts(r *record) bool { return t.match == nil || t.match(r) }

func (t *tail) done(limit int) bool { return len(t.found) >= limit || t.reached <= t.low }

// Why an answer holds fewer records than asked for.
const (
	reasonBeginning  = "beginning-reached" // complete: the topic has no more
	reasonTime       = "time-limit"
	reasonBytes      = "byte-limit"
	reasonUnreadable = "unreadable"   // records around what can't be read
	reasonCursor     = "cursor-limit" // timestamps in such disorder that this page only clears what earlier ones passed over
)

// errTooMuch ends a pass that would not fit in what is left of the budget.
var errTooMuch = errors.New("more bytes than the budget has left")

// readBack reads every tail back until it has found limit records or is at its
// beginning, and returns "". When time (ctx's deadline) or bytes run out first
// it returns why; each tail then still holds all that lies above its reached,
// so that a shorter answer can be exact.
//
// Each pass reads one window per partition. The first is as long as the limit;
// where markers, aborted records, compaction or earlier pages leave fewer
// records than that, the next ones double. A pass that costs more than the
// budget has left is thrown away and tried with shorter windows: within a
// window the newest record comes last, so half a window answers nothing.
func readBack(ctx context.Context, f fetcher, topic string, tails []*tail, limit int, budget int64) (string, error) {
	longest := int64(unlimited)
	reserve := budget / 8 // so that a pass cut short late can be tried again
	for {
		p := plan(tails, limit, longest, budget)
		if len(p.windows) == 0 {
			return "", nil
		}
		err := p.run(ctx, f, topic)
		budget -= p.bytes
		switch {
		case err == nil:
			p.settle(limit)
			longest = min(2*longest, unlimited)
		case ctx.Err() != nil:
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return reasonTime, nil
			}
			return "", ctx.Err()
		case errors.Is(err, errTooMuch):
			budget, reserve = budget+reserve, 0
			if longest = p.affordable(budget); longest == 0 {
				return reasonBytes, nil
			}
		case errors.Is(err, context.DeadlineExceeded):
			longest = p.shorter()
		default:
			return "", err
		}
	}
}

const unlimited = 1 << 61

// pass is one reading of windows.
type pass struct {
	windows []window
	tails   []*tail // of the windows
	read    map[int32]*stretch
	budget  int64 // bytes it may cost
	bytes   int64 // it has cost
	length  int64 // of the longest window
	planned int64 // offsets in all windows
	done    int64 // of these, offsets passed
}

// stretch is what a pass has read of one window.
type stretch struct {
	tail    *tail
	at      int64 // the next offset
	seen    bool  // some record
	first   int64 // timestamp of the first one
	records []record
}

// plan makes the next pass: a window for every tail that needs one.
func plan(tails []*tail, limit int, longest, budget int64) *pass {
	p := &pass{read: make(map[int32]*stretch, len(tails)), budget: budget}
	for _, t := range tails {
		if t.done(limit) {
			continue
		}
		length := min(max(int64(limit-len(t.found)), t.window), longest)
		w := window{t.partition, max(t.low, t.reached-length), t.reached}
		p.windows, p.tails = append(p.windows, w), append(p.tails, t)
		p.read[w.partition] = &stretch{tail: t, at: w.start}
		p.planned += w.end - w.start
		p.length = max(p.length, w.end-w.start)
	}
	return p
}

func (p *pass) run(ctx context.Context, f fetcher, topic string) error {
	// Half of the time that is left: when it is not enough, the other half
	// may do for shorter windows.
	if deadline, ok := ctx.Deadline(); ok {
		half, cancel := context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
		ctx = half
	}
	return f.fetch(ctx, topic, p.windows, func(r record) error {
		s := p.read[r.partition]
		p.done += r.offset + 1 - s.at
		s.at = r.offset + 1
		if !s.seen {
			s.seen, s.first = true, r.timestamp
		}
		if p.bytes += r.size(); s.tail.counts(&r) {
			s.records = append(s.records, r)
		} else {
			p.bytes -= recordCost // nothing of it is kept
		}
		if p.tooMuch() {
			return errTooMuch
		}
		return nil
	})
}

// tooMuch reports whether the pass has cost, or by its first 32nd is going to
// cost, more than it may.
func (p *pass) tooMuch() bool {
	return p.bytes > p.budget ||
		p.bytes > p.budget/32 && p.perOffset()*float64(p.planned) > float64(p.budget)
}

func (p *pass) perOffset() float64 { return float64(p.bytes) / float64(max(p.done, 1)) }

// affordable returns the length of windows that fit in what is left of the
// budget, or 0 when the shortest have been tried.
func (p *pass) affordable(budget int64) int64 {
	if budget <= 0 || p.length <= 1 {
		return 0
	}
	fits := 0.75 * float64(budget) / p.perOffset() / float64(len(p.windows))
	return max(min(int64(fits), p.length/2), 1)
}

// shorter returns a length of windows for which the time left is likely to do.
func (p *pass) shorter() int64 {
	return max(int64(float64(p.length)*float64(p.done)/float64(p.planned)/4), 1)
}

// settle adds what the pass has read to the tails.
func (p *pass) settle(limit int) {
	for i, t := range p.tails {
		w := p.windows[i]
		s := p.read[w.partition]
		if s.seen {
			t.oldest = s.first
		}
		found := slices.DeleteFunc(s.records, func(r record) bool { return !t.wants(&r) })
		t.found = append(found, t.found...)
		t.reached = w.start
		t.window = 2 * (w.end - w.start)
		t.keep(limit)
	}
}

// keep forgets all but the last limit records; what is forgotten counts as not
// read.
func (t *tail) keep(limit int) {
	if extra := len(t.found) - limit; extra > 0 {
		clear(t.found[:extra]) // for the garbage collector
		t.found = t.found[extra:]
		t.reached = t.found[0].offset
	}
}

// choose returns the page: the limit newest of the records found, newest
// first, and where the next page starts. When reading was cut short, the page
// has as many records as can be said for sure, which may be none. A search that
// was cut short gives what it has found: it has a next page even without any.
func choose(tails []*tail, limit int) (page []record, next []position) {
	// A partition with m records found and older ones unread vouches for a
	// page of m: with m records of each partition, the m newest are known.
	for _, t := range tails {
		if !t.done(limit) && (t.match == nil || t.reached == t.end) {
			limit = min(limit, len(t.found))
		}
	}
	if limit == 0 {
		return nil, nil
	}
	for _, t := range tails {
		t.keep(limit)
		page = append(page, t.found...)
	}
	slices.SortFunc(page, func(a, b record) int { return b.rank().compare(a.rank()) })
	page = page[:min(limit, len(page))]

	var last rank
	if len(page) > 0 {
		last = page[len(page)-1].rank()
	}
	for _, t := range tails {
		next = append(next, t.advance(t.reached, t.found, last))
	}
	return page, next
}

// newTails starts reading back at positions. Where earlier pages have passed
// much over, it is that alone that is read.
func newTails(positions []position, logs []located) []*tail {
	var tails []*tail
	passedOver := crowded(positions)
	for _, l := range logs {
		if p := find(positions, l.partition); p != nil { // else it is newer than the first page
			tails = append(tails, newTail(*p, l.low, l.end, passedOver))
		}
	}
	return tails
}

// newTail starts reading back at a position, in a log that is [start, end) now.
// passedOver restricts it to records that earlier pages passed over.
func newTail(p position, start, end int64, passedOver bool) *tail {
	p.end = min(p.end, end)
	t := &tail{position: p, start: start, logEnd: end, low: start, reached: p.end}
	if passedOver {
		t.low = max(t.low, p.floor())
	}
	return t
}

// remains reports whether there may be records left for the next page.
func remains(tails []*tail, next []position) bool {
	for i, t := range tails {
		if next[i].end > t.start {
			return true
		}
	}
	return false
}
