package main

import (
	"slices"
	"time"
)

// view is what the guard has seen of the cluster in one look. Brokers may know
// different things for a moment: each one's answer stands for itself.
type view struct {
	answers []answer
	quorum  quorum
	// silent are brokers that are registered and don't answer. One that has just
	// died is in sync, by what the others say, until its session ends.
	silent []int32
}

// answer is what one broker says of the cluster.
type answer struct {
	from       int32
	brokers    []int32 // registered and unfenced
	partitions []partition
}

// partition is one partition, with what its topic asks for.
type partition struct {
	topic    string
	number   int32
	replicas []int32
	isr      []int32
	// adding are replicas that a reassignment under way has yet to fill.
	adding []int32
	minISR int
}

// quorum is the controllers, as their leader sees them.
type quorum struct {
	leader int32
	voters []voter
}

// voter is a controller with a vote. caughtUp is when it last had everything
// that the leader had; the zero time is never.
type voter struct {
	id       int32
	caughtUp time.Time
}

func (q quorum) has(id int32) bool {
	return slices.ContainsFunc(q.voters, func(v voter) bool { return v.id == id })
}

// brokers are the ids that some broker knows of.
func (v view) brokers() []int32 {
	var ids []int32
	for _, a := range v.answers {
		ids = append(ids, a.brokers...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
