package main

import (
	"math"
	"time"
)

const (
	// shortestWait keeps high rates from waking once an event: at 10,000/s
	// each waking sends twenty.
	shortestWait = 2 * time.Millisecond
	// catchUp bounds a burst: what fell behind in a stall follows at no more
	// than this multiple of the pace.
	catchUp = 4
	// forgiven is how far the schedule may fall behind before it starts anew:
	// after a night's sleep a laptop doesn't send the night's orders.
	forgiven = 10 * time.Second
)

// schedule says how many events are due. It counts from a fixed start, so that
// neither late wakings nor rounding add up: over any length of time the pace
// holds.
type schedule struct {
	perSecond float64
	start     time.Time
	taken     int64
	skipped   int64
	last      time.Time
}

func newSchedule(perSecond float64, start time.Time) *schedule {
	return &schedule{perSecond: perSecond, start: start, last: start}
}

// take returns how many events to send now: those due, up to the bound of a
// burst.
func (s *schedule) take(now time.Time) int64 {
	// The first event is due at the start.
	due := int64(now.Sub(s.start).Seconds()*s.perSecond) + 1 - s.taken
	if most := int64(forgiven.Seconds()*s.perSecond) + 1; due > most {
		over := due - most
		s.skipped += over
		s.start = s.start.Add(time.Duration(float64(over) / s.perSecond * float64(time.Second)))
		due = most
	}
	pause := max(now.Sub(s.last), shortestWait)
	s.last = now
	burst := max(1, int64(math.Ceil(catchUp*s.perSecond*min(pause, time.Second/10).Seconds())))
	due = max(0, min(due, burst))
	s.taken += due
	return due
}

// wait returns how long nothing is due.
func (s *schedule) wait(now time.Time) time.Duration {
	next := s.start.Add(time.Duration(float64(s.taken) / s.perSecond * float64(time.Second)))
	return max(next.Sub(now), shortestWait)
}
