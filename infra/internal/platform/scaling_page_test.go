package platform

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"shopstream/infra/internal/capacity"
	"shopstream/infra/internal/config"
	"shopstream/infra/internal/golden"
	"shopstream/infra/internal/plan"
)

// TestScalingPage generates docs/infra-scaling.md from the model behind the autoscalers' targets, and fails if the page is
// stale.
func TestScalingPage(t *testing.T) {
	var page bytes.Buffer
	page.WriteString(`<!-- Generated from infra/internal/capacity: go test -trimpath ./internal/platform -run TestScalingPage -update -->
# How many pods to expect

The services that read a topic scale on lag: its target per pod is ` + "`drainPerSecond` × `catchUp`" + ` of
[the configuration](infra-configuration.md), and KEDA rounds up to a number of pods that get equally many partitions. They scale on
CPU too, in percent of their limit, which keeps the pods while a steady load needs them. Lag counts from committed
offsets, which are at most ` + capacity.Staleness.String() + ` old while a pod keeps up: steady traffic that one pod can finish keeps one pod.

A further pod works ` + capacity.Reaction.String() + ` after it is needed, at worst: KEDA asks for lag every ` + capacity.PollInterval.String() + `, the autoscaler asks
KEDA every 15 s, and a pod needs some 5 s to start and to join its group. Half of the pods are removed at a time, once none of
them was needed for two minutes. Within a tenth above or below its target an autoscaler changes nothing.
`)
	for _, profile := range config.Profiles() {
		c, err := config.Defaults(profile)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&page, "\n## Profile `%s`\n\n| service | one pod finishes | lag target | pods at 500/s | 1,500/s | 6,000/s | 15,000/s | 40,000/s | "+
			"a backlog of 200,000 | 1,000,000 |\n|---|---|---|---|---|---|---|---|---|---|\n", profile)
		for _, s := range plan.Services(c) {
			if s.Scale.Lag == nil {
				continue
			}
			m := s.Model()
			fmt.Fprintf(&page, "| %s | %d/s | %d |", s.Name, s.Size.DrainPerSecond, m.Threshold())
			for _, rate := range []float64{500, 1500, 6000, 15_000, 40_000} {
				fmt.Fprintf(&page, " %s |", expected(m, rate))
			}
			for _, backlog := range []int{200_000, 1_000_000} {
				pods := m.Pods(0, backlog)
				took, _ := m.DrainTime(pods, 0, backlog)
				fmt.Fprintf(&page, " %d, %s |", pods, took.Round(time.Second))
			}
			page.WriteString("\n")
		}
	}
	golden.Compare(t, "../../../docs/infra-scaling.md", page.Bytes())
}

// expected is the number of pods for a steady rate, and whether they keep up.
func expected(m capacity.Model, rate float64) string {
	pods := m.Pods(rate, capacity.SteadyLag(rate))
	if m.Rate(pods) < rate {
		return fmt.Sprintf("%d, too few", pods)
	}
	return fmt.Sprint(pods)
}
