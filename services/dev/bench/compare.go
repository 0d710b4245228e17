package main

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// sample is what one entrant did in one round. What an entrant doesn't measure is zero.
type sample struct {
	Rate float64 // messages or requests per second
	CPU  float64 // microseconds of the process under test per message
	P50  float64 // milliseconds
	P99  float64 // milliseconds

	Memory  float64 // MiB
	Own     float64 // MiB of it that no file has, so that the kernel can't drop it
	Size    float64 // MB of a program
	Fetches float64 // requests to a broker for one request to the service
	Kept    float64 // share of the best rate that is left with more clients
}

// entrant runs once and measures itself.
type entrant func(ctx context.Context) (sample, error)

// comparison is one of our programs against a peer that does the least that the task
// needs, or, without a peer, against absolute goals.
type comparison struct {
	name     string
	peerName string
	ours     entrant
	peer     entrant // may be nil
	goals    []goal
	// rounds is how many there are at most; 0 is as many as of the others.
	rounds int
}

// relation says how our figure is compared with the peer's.
type relation int

const (
	atLeast     relation = iota // ours / peer ≥ limit
	atMost                      // ours / peer ≤ limit
	atMostAbove                 // ours - peer ≤ limit
	noLess                      // ours ≥ limit, whatever the peer's
	noMore                      // ours ≤ limit, whatever the peer's
)

// alone reports whether the peer's figure doesn't matter.
func (r relation) alone() bool { return r == noLess || r == noMore }

// goal is a row of the table.
type goal struct {
	what     string
	unit     string
	of       func(sample) float64
	relation relation
	limit    float64
}

func rate(s sample) float64 { return s.Rate }
func cpu(s sample) float64  { return s.CPU }
func p50(s sample) float64  { return s.P50 }
func p99(s sample) float64  { return s.P99 }

func memory(s sample) float64  { return s.Memory }
func own(s sample) float64     { return s.Own }
func size(s sample) float64    { return s.Size }
func fetches(s sample) float64 { return s.Fetches }
func kept(s sample) float64    { return s.Kept }

// round is one run of both. The peer runs before and after ours: the two of its
// samples are the A/A control.
type round struct {
	ours    sample
	control [2]sample
}

// compare runs the rounds. Every other one is in the opposite order, so that a machine
// that becomes slower favours none.
func (c comparison) compare(ctx context.Context, rounds int) ([]round, error) {
	if c.rounds > 0 {
		rounds = min(rounds, c.rounds)
	}
	var done []round
	for i := range rounds {
		var r round
		var err error
		first, second := i%2, 1-i%2
		if r.control[first], err = c.runPeer(ctx); err != nil {
			return nil, err
		}
		if r.ours, err = c.ours(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		if r.control[second], err = c.runPeer(ctx); err != nil {
			return nil, err
		}
		done = append(done, r)
	}
	return done, nil
}

func (c comparison) runPeer(ctx context.Context) (sample, error) {
	if c.peer == nil {
		return sample{}, nil
	}
	s, err := c.peer(ctx)
	if err != nil {
		return sample{}, fmt.Errorf("%s: running %s: %w", c.name, c.peerName, err)
	}
	return s, nil
}

// control is by how much the peer may differ from itself: beyond it, a row says nothing.
const control = 0.05

// result compares one quantity over all rounds.
type result struct {
	ours, peer float64 // medians
	value      float64 // median of the rounds' ratios, or differences
	low, high  float64 // quartiles of the same
	controlled float64 // median of the rounds' ratios of the peer to itself
	void       bool
}

func (g goal) judge(rounds []round) result {
	var ours, peer, values, controls []float64
	for _, r := range rounds {
		o, a, b := g.of(r.ours), g.of(r.control[0]), g.of(r.control[1])
		ours, peer = append(ours, o), append(peer, a, b)
		beside := (a + b) / 2
		switch {
		case g.relation.alone():
			values = append(values, o)
		case g.relation == atMostAbove:
			values = append(values, o-beside)
		default:
			values = append(values, o/beside)
		}
		controls = append(controls, a/b)
	}
	r := result{
		ours: quantile(ours, .5), peer: quantile(peer, .5),
		value: quantile(values, .5), low: quantile(values, .25), high: quantile(values, .75),
		controlled: quantile(controls, .5),
	}
	r.void = !g.relation.alone() && !(math.Abs(r.controlled-1) <= control) // NaN is void too
	return r
}

func (g goal) verdict(r result) string {
	met := r.value <= g.limit
	if g.relation == atLeast || g.relation == noLess {
		met = r.value >= g.limit
	}
	switch {
	case r.void:
		return "void"
	case r.low < g.limit && g.limit < r.high:
		return "unclear"
	case met:
		return "pass"
	}
	return "short"
}

// quantile interpolates between the two nearest values.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}
