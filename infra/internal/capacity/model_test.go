package capacity

import (
	"testing"
	"time"
)

var model = Model{PerPod: 1000, CatchUp: 30 * time.Second, Min: 1, Max: 6, Partitions: 6}

func TestPods(t *testing.T) {
	for _, c := range []struct {
		rate    float64
		backlog int
		want    int
		why     string
	}{
		{0, 0, 1, "the fewest"},
		{10, 5, 1, "one has plenty to spare"},
		{1000, SteadyLag(1000), 1, "one just keeps up"},
		{1001, SteadyLag(1001), 2, "one would fall behind"},
		{2000, SteadyLag(2000), 2, "two just keep up"},
		{3001, SteadyLag(3001), 6, "four or five would have a pod with two partitions, like three"},
		{100_000, 0, 6, "the most"},
		{0, 30_000, 1, "one catches up in time"},
		{0, 30_001, 2, "one would take longer"},
		{0, 90_001, 6, "four get no more done than three, and five no more than four"},
		{0, 10_000_000, 6, "one for each partition"},
		{2500, 30_001, 3, "what arrives needs more than what is there"},
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
		{4, 0, 90_000, 30 * time.Second}, // two of them still have two partitions
		{6, 0, 90_000, 15 * time.Second},
		{12, 0, 90_000, 15 * time.Second}, // six have nothing to read
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

// TestABacklogIsCaughtUpInTime: the pods for a backlog finish it within CatchUp.
func TestABacklogIsCaughtUpInTime(t *testing.T) {
	for backlog := 1; backlog <= model.Partitions*model.Threshold(); backlog += 997 {
		pods := model.Pods(0, backlog)
		if took, ok := model.DrainTime(pods, 0, backlog); !ok || took > model.CatchUp {
			t.Fatalf("%d pods take %s for a backlog of %d", pods, took, backlog)
		}
	}
}
