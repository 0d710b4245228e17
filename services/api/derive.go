package main

import "math"

// If timestamps never decrease within the partitions, the last record of a page is
// enough to know where the next page starts: with the records that are older.
// Brokers find these by timestamp (ListOffsets) in every partition, so that a cursor
// for a thousand partitions needs to name one record only. If timestamps of a
// partition are out of order around that record, the cursor contains the partition's
// position as well.

// derivable reports whether brokers can look up the record by its timestamp. Negative
// timestamps have other meanings in ListOffsets.
func (r rank) derivable() bool { return r.timestamp >= 0 && r.timestamp < math.MaxInt64 }

// lookup returns the timestamp to look up in a partition. If several records have
// r's timestamp, the partition decides which of them are older than r.
func (r rank) lookup(partition int32) int64 {
	if partition <= r.partition {
		return r.timestamp + 1
	}
	return r.timestamp
}

// cut returns the offset of a partition's first record that isn't older than r. found
// is the first offset with lookup's timestamp or a later one; noRecord if there is none.
func (r rank) cut(partition int32, found int64) int64 {
	if partition == r.partition {
		return min(found, r.offset)
	}
	return found
}

const noRecord = math.MaxInt64

// exceptions returns the positions that can't be derived from last, the rank of the
// page's last record. tails describes the logs when the page was read; found holds
// what the brokers return for lookup's timestamps.
//
// A position that can be derived stays derivable, whatever is written or deleted
// later: every record that was returned is at least as new as the rank, and every
// record that is left is older. Records appended later with older timestamps belong
// to a later page.
func exceptions(last rank, tails []*tail, next []position, found map[int32]int64) []position {
	var differ []position
	for i, p := range next {
		at, ok := found[p.partition]
		if !ok {
			at = noRecord
		}
		at = last.cut(p.partition, at)
		whole := at >= tails[i].logEnd && p.bare >= tails[i].logEnd // the page returned none of its records
		if len(p.spans) > 0 || !whole && (at < p.end || at > p.bare) {
			differ = append(differ, p)
		}
	}
	return differ
}

// derive returns the cursor's positions in the partitions whose current logs are
// given.
func (c cursor) derive(logs []located, found map[int32]int64) []position {
	said := make(map[int32]position, len(c.positions))
	for _, p := range c.positions {
		said[p.partition] = p
	}
	var positions []position
	for _, l := range logs {
		if int(l.partition) >= c.count {
			continue // added after the first page
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
