// Package capacity is the arithmetic of scaling: how many pods a load needs, and how soon they have caught up. The
// autoscalers' targets, the load test's expectations and the sizing plan all come from it.
package capacity

import (
	"math"
	"time"
)

const (
	// Staleness is how old a committed offset may be while a pod keeps up: it fetches (25 ms), gathers a batch (50 to 100 ms),
	// writes it, and commits it within 200 ms. Lag is measured from committed offsets, so steady traffic always shows a little.
	Staleness = 500 * time.Millisecond

	// PollInterval is how often KEDA asks the brokers for lag, and the pods for arrivals.
	PollInterval = 10 * time.Second

	// ArrivalWindow is the time over which pods average how many records arrive per second.
	ArrivalWindow = 10 * time.Second

	// Reaction is how long it takes at most until an additional pod works: that average, KEDA's poll, the autoscaler's own
	// interval of 15 s (`--horizontal-pod-autoscaler-sync-period`), and 5 s to start and to join the group.
	Reaction = ArrivalWindow + PollInterval + 20*time.Second

	// PartitionsPerPod is how many partitions a topic should have for each of the most pods. The pod with the most partitions
	// then has at most a quarter more than its share. With fewer, a steady rate may be too much for the busiest of n pods
	// and too little for n+1: their number goes up and down.
	PartitionsPerPod = 4

	// ShrinkAfter is how long fewer pods must have been enough before any is removed, and ShrinkEvery is the interval at
	// which half of them are removed then.
	ShrinkAfter = 2 * time.Minute
	ShrinkEvery = time.Minute
)

// Model describes a service that reads a topic as a consumer group, with some of the partitions for each pod.
type Model struct {
	// PerPod is how many records per second one pod finishes under sustained load.
	PerPod float64

	// Target is the part of PerPod that a pod is to do while it keeps up, above 0 and up to 1. What is left of it is for
	// partitions that are not spread evenly.
	Target float64

	// CatchUp is how long catching up with a backlog may take. If it is less than Reaction, additional pods come too late.
	CatchUp time.Duration

	// Min and Max are the minimum and maximum number of pods.
	Min, Max int

	Partitions int
}

// Threshold is the lag per pod above which another one is needed: what a pod finishes within CatchUp.
func (m Model) Threshold() int {
	return max(1, int(m.PerPod*m.CatchUp.Seconds()))
}

// Steady is how many records per second one pod is to finish while it keeps up.
func (m Model) Steady() int { return max(1, int(m.PerPod*m.Target)) }

// SteadyLag is the lag of pods that keep up with that many records per second.
func SteadyLag(rate float64) int { return int(rate * Staleness.Seconds()) }

// Pods is the number of pods that the autoscaler sets for that many records per second and that backlog.
func (m Model) Pods(rate float64, backlog int) int {
	arriving := ceil(rate / float64(m.Steady()))
	behind := ceil(float64(backlog) / float64(m.Threshold()))
	return min(max(arriving, behind, m.Min), m.Max, m.Partitions)
}

// Rate is how many records per second that many pods finish, if records are spread evenly over the partitions. The pod
// with the most partitions finishes last: with six partitions, four pods do no more than three.
func (m Model) Rate(pods int) float64 {
	pods = min(pods, m.Partitions)
	if pods < 1 {
		return 0
	}
	return m.PerPod * float64(m.Partitions) / float64(ceil(float64(m.Partitions)/float64(pods)))
}

// DrainTime is how long that many pods take to finish a backlog while records keep arriving at a rate per second. It
// returns false if they never do.
func (m Model) DrainTime(pods int, rate float64, backlog int) (time.Duration, bool) {
	spare := m.Rate(pods) - rate
	if spare <= 0 {
		return 0, false
	}
	return time.Duration(float64(backlog) / spare * float64(time.Second)), true
}

// ceil rounds up, but ignores a rounding error above the whole number.
func ceil(x float64) int { return int(math.Ceil(x - 1e-9)) }
