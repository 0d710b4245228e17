package main

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestThePaceHoldsDespiteLateTimers(t *testing.T) {
	start := time.Now()
	for _, perSecond := range []float64{0.2, 3.7, 1000, 10_000, 123_456.7} {
		s := newSchedule(perSecond, start)
		random := rand.New(rand.NewPCG(1, 2))
		var sent int64
		now := start
		for now.Sub(start) < time.Minute {
			sent += s.take(now)
			now = now.Add(s.wait(now) + time.Duration(random.Int64N(int64(3*time.Millisecond))))
		}
		sent += s.take(now)
		want := now.Sub(start).Seconds()*perSecond + 1
		if math.Abs(float64(sent)-want) > 1.5 {
			t.Errorf("%v/s: %d sent in a minute, want %.1f", perSecond, sent, want)
		}
	}
}

func TestAStallIsCaughtUpInBoundedBursts(t *testing.T) {
	start := time.Now()
	s := newSchedule(10_000, start)
	now := start
	step := func(pause time.Duration) int64 {
		now = now.Add(pause)
		return s.take(now)
	}
	sent := s.take(now)
	sent += step(2 * time.Millisecond)
	first := step(3 * time.Second) // 30,000 are due
	if most := int64(catchUp * 10_000 / 10); first > most {
		t.Errorf("%d at once after a stall, want %d at most", first, most)
	}
	sent += first
	for range 2000 {
		n := step(2 * time.Millisecond)
		if n > catchUp*20 {
			t.Fatalf("a burst of %d in 2ms", n)
		}
		sent += n
	}
	if want := int64(now.Sub(start).Seconds()*10_000) + 1; sent != want {
		t.Errorf("%d sent, want %d: nothing of a short stall is left out", sent, want)
	}
	if s.skipped != 0 {
		t.Errorf("%d skipped", s.skipped)
	}
}

// One that falls behind doesn't pause, since it would fall behind further.
func TestThereIsNoPauseWhileEventsAreOverdue(t *testing.T) {
	start := time.Now()
	s := newSchedule(1_000_000, start)
	s.take(start)
	now := start.Add(2 * time.Millisecond)
	if due := s.take(now); due != 2000 {
		t.Fatalf("%d due", due)
	}
	if wait := s.wait(now.Add(time.Millisecond)); wait != time.Millisecond {
		t.Errorf("wait of %v, though the shortest one has not passed", wait)
	}
	if wait := s.wait(now.Add(5 * time.Millisecond)); wait != 0 {
		t.Errorf("wait of %v, though 5,000 events are overdue", wait)
	}
}

func TestALongSleepIsNotCaughtUp(t *testing.T) {
	start := time.Now()
	s := newSchedule(0.2, start)
	sent := s.take(start)
	now := start.Add(8 * time.Hour)
	for range 100 {
		sent += s.take(now)
		now = now.Add(100 * time.Millisecond)
	}
	if sent > 6 {
		t.Errorf("%d orders after a night, want those of the last seconds only", sent)
	}
	if s.skipped < 5700 {
		t.Errorf("%d counted as skipped", s.skipped)
	}
}

func TestQuantilesAreWithinOnePerCent(t *testing.T) {
	var h histogram
	for i := range 100_000 {
		h.add(time.Duration(i+1) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{.5: 50 * time.Millisecond, .99: 99 * time.Millisecond, 1: 100 * time.Millisecond} {
		if got := h.quantile(q); got < want || got > want+want/90 {
			t.Errorf("quantile %v = %v, want %v", q, got, want)
		}
	}
	if h.max != 100*time.Millisecond {
		t.Errorf("max = %v", h.max)
	}
	if (&histogram{}).quantile(.5) != 0 {
		t.Error("an empty histogram has a median")
	}
}
