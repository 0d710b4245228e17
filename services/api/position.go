package main

import (
	"cmp"
	"slices"
)

// position says which records of one partition are left for the next pages.
//
// Usually a page takes all records from end upwards, so that end alone is enough. But
// if a record's timestamp is older than those of records before it, a page may skip it
// and take those. spans then say which of the records below end are left, without
// naming each.
type position struct {
	partition int32
	end       int64
	spans     []span // by descending offset
	bare      int64  // there is no record in [end, bare); known only right after a page
}

// span is a range of offsets: from its from up to the span before it, or up to end. In
// it, the records older than the rank left are left: the last record of the page that
// took the others. Below the last span all records are left.
type span struct {
	from int64
	left rank
}

// wants reports whether r is left for the next pages.
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

// floor is the offset above which only skipped records are left.
func (p position) floor() int64 {
	if n := len(p.spans); n > 0 {
		return p.spans[n-1].from
	}
	return p.end
}

// advance returns the position after a page whose last record has the rank last.
// candidates are the records at or above reached that this position wants, by
// ascending offset.
func (p position) advance(reached int64, candidates []record, last rank) position {
	next := position{partition: p.partition, end: reached}
	bottom := p.floor()
	for i := range candidates {
		if r := &candidates[i]; r.rank().compare(last) < 0 {
			next.end = r.offset + 1 // skipped: records up to here may be left
		} else if r.offset < bottom {
			bottom = r.offset // offsets ascend: only the first one gets here
		}
	}

	add := func(from int64, left rank) {
		if from >= next.end {
			return // no record of the range is left
		}
		if n := len(next.spans); n > 0 && next.spans[n-1].left == left {
			next.spans[n-1].from = from
			return
		}
		next.spans = append(next.spans, span{from, left})
	}
	top := p.end
	for _, s := range p.spans {
		// The page chose only among records at or above reached.
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

// find returns a partition's position, or nil. positions are sorted by partition.
func find(positions []position, partition int32) *position {
	i, ok := slices.BinarySearchFunc(positions, partition, func(p position, partition int32) int { return cmp.Compare(p.partition, partition) })
	if !ok {
		return nil
	}
	return &positions[i]
}
