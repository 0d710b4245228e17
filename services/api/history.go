package main

import (
	"slices"
	"time"
)

// A rate is the difference between two readings of a counter, divided by the time between
// them. rateOver is the shortest such time; a reading older than rateWithin says nothing
// about now.
const (
	rateOver   = 10 * time.Second
	rateWithin = 3 * time.Minute
)

// sample is what was read at one time.
type sample[T any] struct {
	at    time.Time
	value T
}

// history holds the last samples of something, oldest first.
type history[T any] struct{ samples []sample[T] }

// add adds a reading and returns an earlier one to compare it with: the newest that is
// old enough, or else the oldest. It returns false if there is no earlier one. A reading
// that is not newer than the last is that same reading again.
func (h *history[T]) add(now sample[T]) (earlier sample[T], ok bool) {
	h.samples = slices.DeleteFunc(h.samples, func(r sample[T]) bool { return now.at.Sub(r.at) > rateWithin })
	if n := len(h.samples); n == 0 || now.at.After(h.samples[n-1].at) {
		h.samples = append(h.samples, now)
	}
	last := len(h.samples) - 1
	from := 0
	for i := range h.samples[:last] {
		if now.at.Sub(h.samples[i].at) >= rateOver {
			from = i
		}
	}
	h.samples = h.samples[from:] // those before will not be needed again
	return h.samples[0], len(h.samples) > 1
}
