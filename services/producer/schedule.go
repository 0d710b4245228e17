package main

import (
	"math"
	"time"
)

const (
	// shortestWait avoids waking for every event at high rates: at 10,000/s twenty
	// are sent each time.
	shortestWait = 2 * time.Millisecond
	// catchUp bounds bursts: after a stall, events are sent at no more than this
	// multiple of the rate.
	catchUp = 4
	// forgiven is how far the schedule may fall behind before it starts anew: a
	// laptop that slept overnight doesn't send the orders of the night.
	forgiven = 10 * time.Second
)

// schedule says how many events are due. It counts from a fixed start, so that
// neither late wake-ups nor rounding accumulate, and the rate is exact over time.
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

// take returns how many events to send now: those due, but no more than a burst.
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

// wait returns the time until the next event is due; 0 if it is overdue, and making those
// before it has taken as long as a wait.
func (s *schedule) wait(now time.Time) time.Duration {
	next := s.start.Add(time.Duration(float64(s.taken) / s.perSecond * float64(time.Second)))
	return max(next.Sub(now), s.last.Add(shortestWait).Sub(now), 0)
}
