package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
	"time"
)

// tally counts the outcomes of the events, and lets no more than a number of them wait for
// theirs. Safe for concurrent use.
type tally struct {
	mu           sync.Mutex
	changed      sync.Cond
	most         int64 // of those that wait
	waiting      int64
	sent         int64
	acknowledged int64
	waits        int64
	skipped      int64
	begun, last  time.Time // first event made, last acknowledged
	complained   time.Time
	latency      histogram
}

func newTally(most int64) *tally {
	t := &tally{most: most}
	t.changed.L = &t.mu
	return t
}

// enter waits until there is room, and counts as many events as there is room for, n at
// most: the caller is going to send them. It returns whether it had to wait, and 0 if ctx
// has ended; then wake must be called. made is when the first of them was made.
func (t *tally) enter(ctx context.Context, n int64, made time.Time) (entered int64, waited bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting >= t.most {
		waited = true
		t.waits++
	}
	for t.waiting >= t.most && ctx.Err() == nil {
		t.changed.Wait()
	}
	if ctx.Err() != nil {
		return 0, waited
	}
	if t.sent == 0 {
		t.begun = made
	}
	entered = min(n, t.most-t.waiting)
	t.sent += entered
	t.waiting += entered
	return entered, waited
}

// await waits until no event waits any more, or until ctx ends; then wake must be called.
func (t *tally) await(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.waiting > 0 && ctx.Err() == nil {
		t.changed.Wait()
	}
}

// wake lets those who wait look at their contexts.
func (t *tally) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changed.Broadcast()
}

func (t *tally) skip(total int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.skipped = total
}

func (t *tally) acknowledge(made, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.acknowledged++
	t.last = at
	t.latency.add(at.Sub(made))
	t.leave()
}

func (t *tally) fail() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leave()
}

// leave needs the lock.
func (t *tally) leave() {
	t.waiting--
	t.changed.Signal() // there is one goroutine: it makes events, or waits for the last
}

func (t *tally) mayComplain(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.complained) < time.Second {
		return false
	}
	t.complained = now
	return true
}

// summary is what the producer did.
type summary struct {
	sent, acknowledged, failed int64
	waits, skipped             int64
	rate                       float64
	p50, p99, max              time.Duration
	took                       time.Duration
}

// summarise returns the totals. Events that aren't acknowledged by then count as
// failed, because it is unknown whether they are in the log.
func (t *tally) summarise() summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := summary{
		sent: t.sent, acknowledged: t.acknowledged, failed: t.sent - t.acknowledged,
		waits: t.waits, skipped: t.skipped,
		p50: t.latency.quantile(.5), p99: t.latency.quantile(.99), max: t.latency.max,
	}
	if t.acknowledged > 1 {
		s.took = t.last.Sub(t.begun)
		// Measured from the first event, not its acknowledgement, so that a slow
		// start counts; n events have n-1 intervals.
		s.rate = float64(t.acknowledged-1) / s.took.Seconds()
	}
	return s
}

// print writes the summary as text, and logs the same.
func (s summary) print(w io.Writer, log *slog.Logger) {
	// If stdout can't be written to, there is nowhere to report it.
	_, _ = fmt.Fprintf(w, "sent %d, acknowledged %d, failed %d in %s: %.1f/s; latency p50 %s, p99 %s, max %s; waited for room %d times, skipped %d\n",
		s.sent, s.acknowledged, s.failed, s.took.Round(time.Millisecond), s.rate,
		s.p50.Round(10*time.Microsecond), s.p99.Round(10*time.Microsecond), s.max.Round(10*time.Microsecond), s.waits, s.skipped)
	log.Info("finished", "sent", s.sent, "acknowledged", s.acknowledged, "failed", s.failed,
		"rate", math.Round(s.rate*1000)/1000, "duration_seconds", s.took.Seconds(),
		"latency_p50_seconds", s.p50.Seconds(), "latency_p99_seconds", s.p99.Seconds(), "latency_max_seconds", s.max.Seconds(),
		"backpressure_waits", s.waits, "skipped", s.skipped)
}

// histogram counts durations in steps of one per cent, starting at a microsecond, so
// that its size doesn't depend on their number.
type histogram struct {
	counts [steps]int64
	total  int64
	max    time.Duration
}

const (
	steps  = 2048 // the last is at about twelve minutes
	growth = 1.01
)

func (h *histogram) add(d time.Duration) {
	step := 0
	if us := float64(d) / float64(time.Microsecond); us > 1 {
		step = min(int(math.Log(us)/math.Log(growth)), steps-1)
	}
	h.counts[step]++
	h.total++
	h.max = max(h.max, d)
}

// quantile returns a duration that a share q of all don't exceed. It is too long by
// one per cent at most.
func (h *histogram) quantile(q float64) time.Duration {
	rank := int64(math.Ceil(q * float64(h.total)))
	var seen int64
	for step, n := range h.counts {
		if seen += n; n > 0 && seen >= rank {
			return min(time.Duration(math.Pow(growth, float64(step+1))*float64(time.Microsecond)), h.max)
		}
	}
	return h.max
}
