package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// What "the last N records of a topic" means here:
//
// Take from each partition its last N records by offset, below the end captured when
// the request arrived. The response is the N newest of all these by (timestamp,
// partition, offset), newest first.
//
// If timestamps never decrease within a partition, these are the N newest records of
// the topic. That is so if brokers set them (LogAppendTime), or producers with a
// correct clock. If producers set odd timestamps, the order of the log decides what is
// recent within a partition, so that a record with a timestamp far in the future or
// past can't hide what was written after it.
//
// A record is what a consumer with that isolation level receives: transaction markers,
// aborted records and records removed by compaction don't count towards N.
// This file chooses records; the fetcher fetches them.

// record is one record as read from Kafka.
type record struct {
	partition  int32
	offset     int64
	timestamp  int64 // milliseconds; -1 if none
	appendTime bool  // set by the broker (LogAppendTime)
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

// becomes returns an upper limit of the record's bytes in a response.
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

// manyBytes is the size below which a record's JSON isn't measured: it is small anyway.
const manyBytes = 64 << 10

// What a record and a header take in memory in addition to their bytes.
const (
	recordCost = 256
	headerCost = 64
)

// rank is a record's place in the order of a response. No two records have the same.
type rank struct {
	timestamp int64
	partition int32
	offset    int64
}

// compare is negative if r is older than b.
func (r rank) compare(b rank) int {
	return cmp.Or(cmp.Compare(r.timestamp, b.timestamp), cmp.Compare(r.partition, b.partition), cmp.Compare(r.offset, b.offset))
}

// older returns the older of two ranks.
func older(a, b rank) rank {
	if a.compare(b) < 0 {
		return a
	}
	return b
}

// window is a range of a partition's offsets: [start, end).
type window struct {
	partition  int32
	start, end int64
}

// fetcher reads the records of windows, at most one per partition. It calls each for
// every record in a window, by ascending offset within a partition. It returns nil
// after all windows have been read to their ends, or else the error that each
// returned, or that of ctx.
type fetcher interface {
	fetch(ctx context.Context, topic string, windows []window, each func(record) error) error
}

// tail is one partition, read backwards from its end.
type tail struct {
	position       // what earlier pages have left
	start    int64 // of the log
	logEnd   int64
	low      int64    // where reading stops; at least start
	reached  int64    // [reached, end) has been read
	window   int64    // minimum length of the next window
	found    []record // not returned yet, by ascending offset

	match  func(*record) bool // nil if every record counts
	oldest int64              // timestamp of the record at the lowest offset read
}

// counts reports whether a record may be in the response.
func (t *tail) counts(r *record) bool { return t.match == nil || t.match(r) }

func (t *tail) done(limit int) bool { return len(t.found) >= limit || t.reached <= t.low }

// Why a response has fewer records than requested.
const (
	reasonBeginning  = "beginning-reached" // complete: there are no more
	reasonTime       = "time-limit"
	reasonBytes      = "byte-limit"
	reasonUnreadable = "unreadable"   // some records can't be read and are left out
	reasonCursor     = "cursor-limit" // timestamps are so disordered that this page has only records that earlier ones skipped
)

// errTooMuch ends a pass that would not fit in the rest of the budget.
var errTooMuch = errors.New("the pass needs more bytes than the budget has left")

// readBack reads every tail back until it has found limit records or is at its
// beginning, and returns "". If time (ctx's deadline) or bytes run out first, it
// returns the reason; each tail then still holds every record at or above its reached,
// so that a shorter response can be exact.
//
// Each pass reads one window per partition. The first window is as long as the limit;
// if markers, aborted records, compaction or earlier pages leave fewer records than
// that, the next windows double. A pass that costs more than the rest of the budget is
// discarded and repeated with shorter windows: the newest record of a window comes
// last, so half a window is useless.
func readBack(ctx context.Context, f fetcher, topic string, tails []*tail, limit int, budget int64) (string, error) {
	longest := int64(unlimited)
	reserve := budget / 8 // so that a pass that is stopped late can be repeated
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

// pass reads one window of each tail.
type pass struct {
	windows []window
	tails   []*tail // of the windows
	read    map[int32]*stretch
	budget  int64 // bytes that it may read
	bytes   int64 // that it has read
	length  int64 // length of the longest window
	planned int64 // offsets in all windows
	done    int64 // of these, offsets read
}

// stretch is what a pass has read of one window.
type stretch struct {
	tail    *tail
	at      int64 // the next offset
	seen    bool  // whether a record was read
	first   int64 // timestamp of the first record
	records []record
}

// plan returns the next pass: a window for every tail that needs one.
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
	// Use half of the remaining time: if it isn't enough, the other half may suffice
	// for shorter windows.
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
			p.bytes -= recordCost // it isn't kept
		}
		if p.tooMuch() {
			return errTooMuch
		}
		return nil
	})
}

// tooMuch reports whether the pass has exceeded its budget, or will, judging by its
// first 32nd.
func (p *pass) tooMuch() bool {
	return p.bytes > p.budget ||
		p.bytes > p.budget/32 && p.perOffset()*float64(p.planned) > float64(p.budget)
}

func (p *pass) perOffset() float64 { return float64(p.bytes) / float64(max(p.done, 1)) }

// affordable returns the length of windows that fit in the rest of the budget, or 0 if
// the shortest have been tried.
func (p *pass) affordable(budget int64) int64 {
	if budget <= 0 || p.length <= 1 {
		return 0
	}
	fits := 0.75 * float64(budget) / p.perOffset() / float64(len(p.windows))
	return max(min(int64(fits), p.length/2), 1)
}

// shorter returns a length of windows that can probably be read in the time left.
func (p *pass) shorter() int64 {
	return max(int64(float64(p.length)*float64(p.done)/float64(p.planned)/4), 1)
}

// settle adds the pass's records to the tails.
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

// keep drops all but the last limit records. What is dropped counts as not read.
func (t *tail) keep(limit int) {
	if extra := len(t.found) - limit; extra > 0 {
		clear(t.found[:extra]) // for the garbage collector
		t.found = t.found[extra:]
		t.reached = t.found[0].offset
	}
}

// choose returns the page, which is the limit newest of the records found, newest
// first, and where the next page starts. If reading was stopped early, the page has as
// many records as are certain, which may be none. A search that was stopped early
// returns what it has found: it has a next page even if it found none.
func choose(tails []*tail, limit int) (page []record, next []position) {
	// A partition with m records found and older ones unread limits the page to m:
	// with m records of each partition, the m newest are known.
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

// newTails starts reading back at positions. If earlier pages skipped too much, only
// what they skipped is read.
func newTails(positions []position, logs []located) []*tail {
	var tails []*tail
	passedOver := crowded(positions)
	for _, l := range logs {
		if p := find(positions, l.partition); p != nil { // else it was added after the first page
			tails = append(tails, newTail(*p, l.low, l.end, passedOver))
		}
	}
	return tails
}

// newTail starts reading back at a position in a log that is [start, end) now.
// passedOver restricts it to records that earlier pages skipped.
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
