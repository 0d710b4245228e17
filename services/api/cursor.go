package main

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// position says which records of one partition the next page may take.
//
// Mostly a page takes the end of a partition's log, and end alone says so:
// what is left lies below it. But where a record is stamped older than those
// before it, the page passes it over and takes them: then spans say which of
// the records below end are gone, without naming each.
type position struct {
	partition int32
	end       int64
	spans     []span // from the log's end downwards
}

// span is the stretch from an offset up to the span before it, or to end. Of
// its records those older than a rank are left: the page that took the others
// ended there. Below the last span everything is left.
type span struct {
	from int64
	left rank
}

// wants reports whether no earlier page has taken r.
func (p position) wants(r *record) bool {
	if r.offset >= p.end {
		return false
	}
	for _, s := range p.spans {
		if r.offset >= s.from {
			return r.rank().compare(s.left) < 0
		}
	}
	return true
}

// floor is the offset above which all that is left was passed over.
func (p position) floor() int64 {
	if n := len(p.spans); n > 0 {
		return p.spans[n-1].from
	}
	return p.end
}

// advance returns the position after a page whose last record has the rank
// last, where the page could choose from candidates: all that this position
// wants at or above reached, by ascending offset.
func (p position) advance(reached int64, candidates []record, last rank) position {
	next := position{partition: p.partition, end: reached}
	bottom := p.floor()
	for i := range candidates {
		if r := &candidates[i]; r.rank().compare(last) < 0 {
			next.end = r.offset + 1 // left behind: the log is not done above
		} else if r.offset < bottom {
			bottom = r.offset // the candidates ascend: only the first gets here
		}
	}

	add := func(from int64, left rank) {
		if from >= next.end {
			return // nothing is left in there
		}
		if n := len(next.spans); n > 0 && next.spans[n-1].left == left {
			next.spans[n-1].from = from
			return
		}
		next.spans = append(next.spans, span{from, left})
	}
	older := func(a, b rank) rank {
		if a.compare(b) < 0 {
			return a
		}
		return b
	}
	top := p.end
	for _, s := range p.spans {
		// The page chose among what is at or above reached only.
		if top > reached {
			add(max(s.from, reached), older(s.left, last))
		}
		if s.from < reached {
			add(s.from, s.left)
		}
		top = s.from
	}
	if bottom < top {
		add(bottom, last)
	}
	return next
}

// cursor is a place in a topic between two pages.
type cursor struct {
	topic     string
	partition int32 // the only one asked for, or -1
	positions []position
}

// maxSpans bounds a cursor, which travels in a header and in a URL. Beyond it
// a page takes only records that earlier ones passed over, which makes the
// spans fewer and adds none.
const maxSpans = 64

func (c cursor) crowded() bool {
	n := 0
	for _, p := range c.positions {
		n += len(p.spans)
	}
	return n > maxSpans
}

const cursorVersion = 1

// String encodes the cursor for a URL.
func (c cursor) String() string {
	b := []byte{cursorVersion}
	b = binary.AppendUvarint(b, uint64(len(c.topic)))
	b = append(b, c.topic...)
	b = binary.AppendVarint(b, int64(c.partition))

	// The spans of one page share its last rank: each is written once.
	var ranks []rank
	for _, p := range c.positions {
		for _, s := range p.spans {
			if !slices.Contains(ranks, s.left) {
				ranks = append(ranks, s.left)
			}
		}
	}
	b = binary.AppendUvarint(b, uint64(len(ranks)))
	for _, r := range ranks {
		b = binary.AppendVarint(b, r.timestamp)
		b = binary.AppendUvarint(b, uint64(r.partition))
		b = binary.AppendUvarint(b, uint64(r.offset))
	}
	b = binary.AppendUvarint(b, uint64(len(c.positions)))
	for _, p := range c.positions {
		b = binary.AppendUvarint(b, uint64(p.partition))
		b = binary.AppendUvarint(b, uint64(p.end))
		b = binary.AppendUvarint(b, uint64(len(p.spans)))
		top := p.end
		for _, s := range p.spans {
			b = binary.AppendUvarint(b, uint64(top-s.from))
			b = binary.AppendUvarint(b, uint64(slices.Index(ranks, s.left)))
			top = s.from
		}
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

var errCursor = errors.New("not a cursor from a Link header of this service")

// parseCursor decodes what String has encoded. A forged cursor can do no more
// than name other offsets of the topic it says, and no more of them than its
// own length.
func parseCursor(text string) (cursor, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) == 0 || b[0] != cursorVersion {
		return cursor{}, errCursor
	}
	d := decoder{rest: b[1:]}
	var c cursor
	c.topic = d.text()
	c.partition = int32(d.signed(-1, math.MaxInt32))

	ranks := make([]rank, 0, 8)
	for range d.count() {
		ranks = append(ranks, rank{
			timestamp: d.signed(math.MinInt64, math.MaxInt64),
			partition: int32(d.unsigned(math.MaxInt32)),
			offset:    d.unsigned(math.MaxInt64),
		})
	}
	previous := int32(-1)
	for range d.count() {
		p := position{partition: int32(d.unsigned(math.MaxInt32)), end: d.unsigned(math.MaxInt64)}
		if p.partition <= previous {
			return cursor{}, errCursor
		}
		previous = p.partition
		top := p.end
		for range d.count() {
			top -= d.unsigned(top)
			index := d.unsigned(int64(len(ranks)) - 1)
			if d.broken {
				return cursor{}, errCursor
			}
			p.spans = append(p.spans, span{top, ranks[index]})
		}
		c.positions = append(c.positions, p)
	}
	if d.broken || len(d.rest) > 0 {
		return cursor{}, errCursor
	}
	return c, nil
}

// decoder reads numbers until one is missing or out of range.
type decoder struct {
	rest   []byte
	broken bool
}

func (d *decoder) unsigned(most int64) int64 {
	v, n := binary.Uvarint(d.rest)
	if d.broken || n <= 0 || most < 0 || v > uint64(most) {
		d.broken = true
		return 0
	}
	d.rest = d.rest[n:]
	return int64(v)
}

func (d *decoder) signed(least, most int64) int64 {
	v, n := binary.Varint(d.rest)
	if d.broken || n <= 0 || v < least || v > most {
		d.broken = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// count reads a number of things, each of which takes a byte at least.
func (d *decoder) count() int64 { return d.unsigned(int64(len(d.rest))) }

func (d *decoder) text() string {
	n := d.count()
	if d.broken || n > int64(len(d.rest)) {
		d.broken = true
		return ""
	}
	text := string(d.rest[:n])
	d.rest = d.rest[n:]
	return text
}
