package main

import "math"

// A page's last record says by itself where the next page starts, as long as
// timestamps ascend within the partitions: what is left is what is older.
// Brokers find that by the timestamp (ListOffsets), in every partition, so that
// a cursor of a thousand partitions needs to name but one record. Where a
// partition's timestamps are out of order just there, the cursor says its
// position in addition.

// derivable reports whether brokers can look a record up by its timestamp:
// negative ones mean other things to them.
func (r rank) derivable() bool { return r.timestamp >= 0 && r.timestamp < math.MaxInt64 }

// lookup is the timestamp to ask for in a partition. Where several records
// share r's, the partition decides which of them are older than r.
func (r rank) lookup(partition int32) int64 {
	if partition <= r.partition {
		return r.timestamp + 1
	}
	return r.timestamp
}

// cut is where in a partition the first record is that isn't older than r,
// given the first of lookup's timestamp or later. noRecord: there is none.
func (r rank) cut(partition int32, found int64) int64 {
	if partition == r.partition {
		return min(found, r.offset)
	}
	return found
}

const noRecord = math.MaxInt64

// exceptions returns those of the positions that differ from what their last
// page's rank says of them. logs are as they were when the page was read, and
// found is what the brokers find for lookup's timestamps.
//
// A position that is found stays so, whatever is written or deleted
// afterwards: no record that was taken is older than the rank, and none that is
// left below is not. What is stamped older and written behind is left for a
// later page.
func exceptions(last rank, tails []*tail, next []position, found map[int32]int64) []position {
	var differ []position
	for i, p := range next {
		at, ok := found[p.partition]
		if !ok {
			at = noRecord
		}
		at = last.cut(p.partition, at)
		whole := at >= tails[i].logEnd && p.bare >= tails[i].logEnd // nothing of it was taken
		if len(p.spans) > 0 || !whole && (at < p.end || at > p.bare) {
			differ = append(differ, p)
		}
	}
	return differ
}

// derive returns the positions that a cursor stands for, in partitions that
// are logs now.
func (c cursor) derive(logs []located, found map[int32]int64) []position {
	said := make(map[int32]position, len(c.positions))
	for _, p := range c.positions {
		said[p.partition] = p
	}
	var positions []position
	for _, l := range logs {
		if int(l.partition) >= c.count {
			continue // newer than the first page
		}
		p, ok := said[l.partition]
		if !ok {
			at, ok := found[l.partition]
			if !ok {
				at = noRecord
			}
			p = position{partition: l.partition, end: min(c.last.cut(l.partition, at), l.end)}
		}
		positions = append(positions, p)
	}
	return positions
}
