package main

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math"
	"slices"
)

// cursor is a position in one log of a topic: between two pages, or between two
// events of a stream. It travels in headers and URLs, so it stays below 700
// characters for any number of partitions. It has one of three forms:
//
//   - inline: it contains the position of every partition. This is the usual form.
//   - derived: it contains the last record of the page, and the positions of only
//     those partitions in which the brokers wouldn't find the position by that
//     record's timestamp (see derive.go).
//   - held: it names positions that this process keeps for a while (memory.go).
type cursor struct {
	form      form
	log       [16]byte // the topic's id: offsets of another log mean nothing here
	name      uint32   // a hash of the topic's name
	partition int32    // the selected one, or -1 for all
	last      rank     // the oldest record that the pages have returned
	count     int      // derived: how many partitions the topic had
	positions []position
	key       key // held
	step      int // held: number of steps after the first kept positions
}

type form byte

const (
	inline form = iota
	derived
	held
)

// newCursor returns a cursor without positions.
func newCursor(sel selection, log [16]byte) cursor {
	return cursor{log: log, name: nameHash(sel.topic), partition: sel.partition, last: newest}
}

// newest is greater than every rank of a record.
var newest = rank{timestamp: math.MaxInt64, partition: math.MaxInt32, offset: math.MaxInt64}

func nameHash(topic string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(topic))
	return h.Sum32()
}

// belongs reports whether the cursor was made for this selection.
func (c cursor) belongs(sel selection) bool {
	return c.name == nameHash(sel.topic) && c.partition == sel.partition
}

// maxSpans keeps cursors small. Beyond it, a page returns only records that earlier
// pages skipped, which removes spans and adds none.
const maxSpans = 16

func crowded(positions []position) bool {
	n := 0
	for _, p := range positions {
		n += len(p.spans)
	}
	return n > maxSpans
}

const (
	cursorVersion = 2
	maxCursor     = 520 // bytes; 694 characters in base64
)

// encode returns the cursor's text for a URL, and whether it is small enough.
func (c cursor) encode() (text string, fits bool) {
	b := []byte{cursorVersion, byte(c.form)}
	b = append(b, c.log[:]...)
	b = binary.BigEndian.AppendUint32(b, c.name)
	b = binary.AppendVarint(b, int64(c.partition))
	b = appendRank(b, c.last)
	switch c.form {
	case held:
		b = append(b, c.key[:]...)
		b = binary.AppendUvarint(b, uint64(c.step))
	case derived:
		b = binary.AppendUvarint(b, uint64(c.count))
		b = appendPositions(b, c.positions)
	case inline:
		b = appendPositions(b, c.positions)
	}
	return base64.RawURLEncoding.EncodeToString(b), len(b) <= maxCursor
}

var (
	errCursor    = errors.New("not a cursor from a Link header or an event id of this service")
	errOldCursor = errors.New("from another release of this service")
)

// parseCursor decodes what encode returned. A forged cursor can only name other
// offsets of its topic, and no more of them than its own length allows. An empty
// text is no cursor: nil.
func parseCursor(text string) (*cursor, error) {
	if text == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < 2 {
		return nil, errCursor
	}
	if v := b[0]; v != cursorVersion && v < 16 {
		return nil, errOldCursor
	} else if v != cursorVersion {
		return nil, errCursor
	}
	c := cursor{form: form(b[1])}
	d := decoder{rest: b[2:]}
	copy(c.log[:], d.bytes(len(c.log)))
	if name := d.bytes(4); name != nil {
		c.name = binary.BigEndian.Uint32(name)
	}
	c.partition = int32(d.signed(-1, math.MaxInt32))
	c.last = d.rank()
	switch c.form {
	case held:
		copy(c.key[:], d.bytes(len(c.key)))
		c.step = int(d.unsigned(math.MaxInt32))
	case derived:
		c.count = int(d.unsigned(math.MaxInt32))
		c.positions = d.positions()
	case inline:
		c.positions = d.positions()
	default:
		return nil, errCursor
	}
	if d.broken || len(d.rest) > 0 {
		return nil, errCursor
	}
	return &c, nil
}

func appendRank(b []byte, r rank) []byte {
	b = binary.AppendVarint(b, r.timestamp)
	b = binary.AppendUvarint(b, uint64(r.partition))
	return binary.AppendUvarint(b, uint64(r.offset))
}

// appendPositions encodes positions in few bytes: three per partition if the
// partitions are consecutive and about equally long.
func appendPositions(b []byte, positions []position) []byte {
	// The spans of one page have the same last rank: each is written once.
	var ranks []rank
	for _, p := range positions {
		for _, s := range p.spans {
			if !slices.Contains(ranks, s.left) {
				ranks = append(ranks, s.left)
			}
		}
	}
	b = binary.AppendUvarint(b, uint64(len(ranks)))
	for _, r := range ranks {
		b = appendRank(b, r)
	}
	b = binary.AppendUvarint(b, uint64(len(positions)))
	previous := position{partition: -1}
	for _, p := range positions {
		gap := uint64(p.partition-previous.partition-1) << 1
		if len(p.spans) > 0 {
			gap |= 1
		}
		b = binary.AppendUvarint(b, gap)
		b = binary.AppendVarint(b, p.end-previous.end)
		previous = p
		if len(p.spans) == 0 {
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(p.spans)))
		top := p.end
		for _, s := range p.spans {
			b = binary.AppendUvarint(b, uint64(top-s.from))
			b = binary.AppendUvarint(b, uint64(slices.Index(ranks, s.left)))
			top = s.from
		}
	}
	return b
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

// count reads the number of items that follow, each at least one byte long.
func (d *decoder) count() int64 { return d.unsigned(int64(len(d.rest))) }

func (d *decoder) bytes(n int) []byte {
	if d.broken || n > len(d.rest) {
		d.broken = true
		return nil
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}

func (d *decoder) rank() rank {
	return rank{
		timestamp: d.signed(math.MinInt64, math.MaxInt64),
		partition: int32(d.unsigned(math.MaxInt32)),
		offset:    d.unsigned(math.MaxInt64),
	}
}

// positions decodes what appendPositions encoded, in the order of the partitions.
func (d *decoder) positions() []position {
	var ranks []rank
	for range d.count() {
		ranks = append(ranks, d.rank())
	}
	var positions []position
	previous := position{partition: -1}
	for range d.count() {
		gap := d.unsigned(math.MaxUint32)
		partition := int64(previous.partition) + 1 + gap>>1
		p := position{partition: int32(partition), end: previous.end + d.signed(-previous.end, math.MaxInt64-previous.end)}
		if d.broken || partition > math.MaxInt32 {
			d.broken = true
			return nil
		}
		previous = p
		if gap&1 > 0 {
			top := p.end
			for range d.count() {
				top -= d.unsigned(top)
				index := d.unsigned(int64(len(ranks)) - 1)
				if d.broken {
					return nil
				}
				p.spans = append(p.spans, span{top, ranks[index]})
			}
			if len(p.spans) == 0 {
				d.broken = true
				return nil
			}
		}
		positions = append(positions, p)
	}
	return positions
}
