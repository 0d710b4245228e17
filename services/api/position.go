package main

import (
	"cmp"
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
	bare      int64  // no record lies between end and here; known of a position that was just reached
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
	next.bare = bottom
	return next
}

// find returns a partition's position, or nil. Positions are in the order of
// the partitions.
func find(positions []position, partition int32) *position {
	i, ok := slices.BinarySearchFunc(positions, partition, func(p position, partition int32) int { return cmp.Compare(p.partition, partition) })
	if !ok {
		return nil
	}
	return &positions[i]
}
