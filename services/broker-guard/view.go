package main

import (
	"slices"
	"time"
)

// view is the state of the cluster at one time. Brokers may know different things for a
// moment, so each one's metadata is kept apart.
type view struct {
	answers []answer
	quorum  quorum
	// silent are registered brokers that don't answer. The others' metadata shows a broker
	// that has just died as in sync until its session expires.
	silent []int32
}

// answer is the metadata of one broker.
type answer struct {
	from       int32
	brokers    []int32 // registered and unfenced
	partitions []partition
}

// partition is one partition, with the requirements of its topic.
type partition struct {
	topic    string
	number   int32
	leader   int32 // -1 if there is none
	replicas []int32
	isr      []int32
	// adding are replicas that a current reassignment has yet to fill.
	adding []int32
	minISR int
}

// quorum is the state of the controllers, as their leader reports it.
type quorum struct {
	leader int32
	voters []voter
}

// voter is a controller with a vote. caughtUp is when it last had everything that the
// leader had; the zero time means never.
type voter struct {
	id       int32
	caughtUp time.Time
}

func (q quorum) has(id int32) bool {
	return slices.ContainsFunc(q.voters, func(v voter) bool { return v.id == id })
}

// brokers returns the ids that any broker knows of.
func (v view) brokers() []int32 {
	var ids []int32
	for _, a := range v.answers {
		ids = append(ids, a.brokers...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
