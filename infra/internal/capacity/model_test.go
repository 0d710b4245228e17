package capacity

import (
	"testing"
	"time"
)

var model = Model{PerPod: 1000, Target: 0.8, CatchUp: 30 * time.Second, Min: 1, Max: 6, Partitions: 24}

func TestPods(t *testing.T) {
	for _, c := range []struct {
		rate    float64
		backlog int
		want    int
		why     string
	}{
		{0, 0, 1, "the fewest"},
		{10, 5, 1, "one has plenty to spare"},
		{800, SteadyLag(800), 1, "one does what it is to do"},
		{801, SteadyLag(801), 2, "one would do more than that"},
		{1600, SteadyLag(1600), 2, "two do what they are to do"},
		{3201, SteadyLag(3201), 5, "four would do more than that"},
		{100_000, 0, 6, "the most"},
		{0, 30_000, 1, "one catches up in time"},
		{0, 30_001, 2, "one would take longer"},
		{0, 90_001, 4, "three would take longer"},
		{0, 10_000_000, 6, "the most"},
		{2400, 30_001, 3, "what arrives needs more than what is there"},
	} {
		if got := model.Pods(c.rate, c.backlog); got != c.want {
			t.Errorf("%v/s and a backlog of %d: %d pods, want %d, since %s", c.rate, c.backlog, got, c.want, c.why)
		}
	}
	few := model
	few.Min, few.Max = 2, 3
	if least, most := few.Pods(0, 0), few.Pods(1e6, 1e6); least != 2 || most != 3 {
		t.Errorf("%d to %d pods, want 2 to 3", least, most)
	}
}

// TestSteadyTrafficNeedsNoPodForItsLag fails if uncommitted offsets alone would require another pod.
func TestSteadyTrafficNeedsNoPodForItsLag(t *testing.T) {
	for pods := 1; pods <= model.Partitions; pods++ {
		rate := float64(pods) * model.PerPod
		if needed := model.Pods(0, SteadyLag(rate)); needed > 1 {
			t.Errorf("%d pods that keep up with %v/s show a lag for %d", pods, rate, needed)
		}
	}
}

func TestDrainTime(t *testing.T) {
	for _, c := range []struct {
		pods    int
		rate    float64
		backlog int
		want    time.Duration
	}{
		{1, 0, 30_000, 30 * time.Second},
		{1, 500, 30_000, time.Minute},
		{3, 0, 90_000, 30 * time.Second},
		{5, 0, 96_000, 20 * time.Second}, // four of them have five partitions, of 24
		{6, 0, 90_000, 15 * time.Second},
		{24, 0, 96_000, 4 * time.Second},
		{48, 0, 96_000, 4 * time.Second}, // half of them have nothing to read
	} {
		if got, ok := model.DrainTime(c.pods, c.rate, c.backlog); !ok || got != c.want {
			t.Errorf("%d pods, %v/s, a backlog of %d: %s (%t), want %s", c.pods, c.rate, c.backlog, got, ok, c.want)
		}
	}
	for _, pods := range []int{0, 1} {
		if took, ok := model.DrainTime(pods, 1000, 1); ok {
			t.Errorf("%d pods at their limit catch up in %s", pods, took)
		}
	}
}

// TestABacklogIsCaughtUpInTime: the pods that a backlog calls for finish it in the time for catching up, and a quarter of it
// where the partitions are not spread evenly.
func TestABacklogIsCaughtUpInTime(t *testing.T) {
	for backlog := 1; backlog <= model.Max*model.Threshold(); backlog += 997 {
		pods := model.Pods(0, backlog)
		if took, ok := model.DrainTime(pods, 0, backlog); !ok || took > model.CatchUp*(PartitionsPerPod+1)/PartitionsPerPod {
			t.Fatalf("%d pods take %s for a backlog of %d", pods, took, backlog)
		}
	}
}
