package platform

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"regexp"
	"testing"
	"time"

	"shopstream/infra/internal/capacity"
	"shopstream/infra/internal/config"
	"shopstream/infra/internal/golden"
	"shopstream/infra/internal/plan"
	"shopstream/infra/internal/scale"
)

// TestScalingPage generates docs/infra-scaling.md from the model behind the autoscalers' targets, and fails if the page is
// stale.
func TestScalingPage(t *testing.T) {
	var page bytes.Buffer
	page.WriteString(`<!-- Generated from infra/internal/capacity: go test -trimpath ./internal/platform -run TestScalingPage -update -->
# How many pods to expect

The services that read a topic scale on the lag (its target per pod is ` + "`drainPerSecond` × `catchUp`" + ` of
[the configuration](infra-configuration.md)), on the records that arrive per second (one pod is to finish ` + "`target`" + ` percent of
` + "`drainPerSecond`" + ` of them), which keeps the pods that a steady load needs, and on CPU, for nodes on which a pod is slower than that.
Lag counts from committed offsets, which are at most ` + capacity.Staleness.String() + ` old while a pod keeps up: steady traffic that one pod can finish keeps one pod.

The others scale on CPU alone: pods are to use ` + "`target`" + ` percent of their limit on average. A purchase takes 0.17 ms of CPU in
web-server at 1,500/s; at a few hundred per second up to twice that, since each record is sent by itself.

A further pod works ` + capacity.Reaction.String() + ` after it is needed, at worst: pods average over ` + capacity.ArrivalWindow.String() + ` what arrives, KEDA asks for it every ` + capacity.PollInterval.String() + `, the autoscaler asks
KEDA every 15 s, and a pod needs some 5 s to start and to join its group. Half of the pods are removed at a time, once none of
them was needed for two minutes. Within a tenth above or below its target an autoscaler changes nothing.

A topic should have ` + fmt.Sprint(capacity.PartitionsPerPod) + ` partitions for each of the most pods: then the busiest pod has at most a quarter more to do than its share, which
` + "`target`" + ` leaves room for. With fewer, a steady rate may be too much for the busiest of n pods and too little to keep n+1, and their number
goes up and down (` + "`infra/internal/capacity/simulation_test.go`" + ` plays that second by second).
`)
	rates := []float64{500, 1500, 6000, 15_000, 40_000}
	for _, profile := range config.Profiles() {
		c, err := config.Defaults(profile)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&page, "\n## Profile `%s`\n\n| service | one pod finishes | lag target | pods at 500/s | 1,500/s | 6,000/s | 15,000/s | 40,000/s | "+
			"a backlog of 200,000 | 1,000,000 |\n|---|---|---|---|---|---|---|---|---|---|\n", profile)
		for _, s := range plan.Services(c) {
			if s.Name == plan.WebServer {
				perPod := capacity.Buys(s.CPUTarget())
				fmt.Fprintf(&page, "| %s | %.0f/s | – |", s.Name, perPod)
				for _, rate := range rates {
					fmt.Fprintf(&page, " %s |", byCPU(s, rate/perPod))
				}
				page.WriteString(" – | – |\n")
			}
			if s.Scale.Lag == nil {
				continue
			}
			m := s.Model()
			fmt.Fprintf(&page, "| %s | %d/s | %d |", s.Name, s.Size.DrainPerSecond, m.Threshold())
			for _, rate := range rates {
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
	page.WriteString(`
## On a cluster

Measured on 30 November 2026 and later with ` + "`make load`" + `: KEDA 2.20.2 and metrics-server on one node of Kubernetes 1.36.3 with two cores that other
work used too, three brokers, FerretDB for MongoDB. The audits found
no purchase refused, lost or stored twice.

| load; one pod finishes | pods of management-api | and |
|---|---|---|
| 100/s, 500/s for 150 s, none; ` + "`drainPerSecond: 300`" + ` | one, three after 29 s, one 1 min 57 s after the end | web-server four, one after 3 min 4 s. At 100/s answered p50 6 ms, p99 74 ms, stored p50 62 ms, p99 150 ms; at 500/s answered p50 48 ms, p99 0.24 s, stored p50 0.13 s, p99 0.46 s, lag at most 150 |
| 100/s, 500/s for five minutes, 100/s; ` + "`drainPerSecond: 250`" + ` | one, three after 37 s, one 2 min 2 s after the rate fell | two pods were killed (-9) meanwhile |
| 500/s, one of three pods killed (-9) | three | its partitions were consumed again within 6 s; the lag, 916 at most, was gone a second later |
| 500/s for 150 s; its only pod killed (-9), then deleted at once (` + "`--force`" + `), then the consumer killed; 5000 | one | consumed again 6.4, 5 and 4.7 s later, and caught up within a second. All 12 checks passed |
| 500/s for five minutes; 5000 | one | web-server one; answered p50 3 ms, p99 52 ms, stored p50 79 ms, p99 0.17 s; lag 31 at the end. All 12 checks passed |
| 500/s for 100 s, 1,500/s for five minutes; 5000 | one | web-server one, from the first second; at 1,500/s answered p50 38 ms, p99 0.26 s, stored p50 0.15 s, p99 0.54 s; lag 155 at the end. One of 19 checks failed: in the first phase, a minute after the brokers' start, the sender on the same node was late by up to 154 ms (p99; 100 allowed) |
| 500/s, 1,500/s for 110 s; 5000, a pod of web-server limited to 300m | one | web-server two after 20 s, as stated, one again 2 min 18 s after the end. Minutes after the brokers' start the node had too little CPU for it: 1,000 to 1,300/s were stored, and clients gave up after 15 s |
| 1,000/s, the database stopped for three and a half minutes; 5000 | one, then two for a backlog of 209,340, one again 2 min 19 s later | web-server one. Drained in 26 s; 51 s are allowed. While the database was stopped, the checks of lag and ready pods failed, as they must |
| a backlog of 158,000, within a tenth of one pod's target; 5000 | one | drained in 29 s; the model says 32 s |

At 1,500/s a purchase took 0.17 ms of CPU in web-server, 0.17 in Traefik, 0.06 in management-api, 0.1 in FerretDB and 0.5 in the three
brokers, with a heap of 1 GiB each. At 500/s it took the brokers 1.4 ms: they got a request for almost every purchase, and each request takes three
of them some 1.7 ms with the two fetches by which it is replicated. What a busy node needs, is that records wait in the producer
and become larger batches, and nothing else waits. Before, 600/s were stored and clients gave up after 15 s:

- web-server scaled on a share of its CPU *request*: to five pods, each with a record or two in a request.
- Its pods and Traefik's requested a fifth of a broker's CPU, so they were what waited.
- Traefik kept 200 connections to a pod, and opened one for each further request.
- Brokers had Kafka's 3 and 8 threads for 2 CPUs: 1.4 s (p50) at 1,500/s instead of 0.2.
- management-api fetched each record by itself, from a broker that had better things to do.
`)
	golden.Compare(t, "../../../docs/infra-scaling.md", page.Bytes())
}

// byCPU is the number of pods that use as much CPU as so many at their target.
func byCPU(s plan.Service, atTarget float64) string {
	if most := float64(s.Size.Max); atTarget > most {
		return fmt.Sprintf("%d, too few", s.Size.Max)
	}
	return fmt.Sprint(max(int(math.Ceil(atTarget)), s.Size.Min))
}

// expected is the number of pods for a steady rate, and whether they keep up.
func expected(m capacity.Model, rate float64) string {
	pods := m.Pods(rate, capacity.SteadyLag(rate))
	if m.Rate(pods) < rate {
		return fmt.Sprintf("%d, too few", pods)
	}
	return fmt.Sprint(pods)
}

// TestTheModelKnowsTheServices compares what the model assumes of the services with their sources.
func TestTheModelKnowsTheServices(t *testing.T) {
	find := func(file, pattern string) string {
		t.Helper()
		text, err := os.ReadFile("../../../services/" + file)
		if err != nil {
			t.Fatal(err)
		}
		match := regexp.MustCompile(pattern).FindSubmatch(text)
		if match == nil {
			t.Fatalf("services/%s has no %s", file, pattern)
		}
		return string(match[1])
	}
	span := func(text string) time.Duration {
		t.Helper()
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	// Records are fetched, gathered, written in a fraction of a second, and their offsets are committed at the next interval.
	const written = 200 * time.Millisecond
	commit := span(find("internal/kafkax/settings.go", `"auto.commit.interval.ms": +(\d+),`) + "ms")
	linger := span(find("management-api/config.go", `env:"BATCH_LINGER" envDefault:"(\w+)"`))
	fetched := span(find("internal/kafkax/fetch.go", `gatherWait += (\d+) \* time.Millisecond`) + "ms")
	if oldest := fetched + linger + written + commit; oldest > capacity.Staleness {
		t.Errorf("committed offsets are up to %s old, and capacity.Staleness is %s", oldest, capacity.Staleness)
	}
	// The consumer commits with its transaction.
	if oldest := span(find("consumer/config.go", `env:"BATCH_LINGER" envDefault:"(\w+)"`)) + fetched + written; oldest > capacity.Staleness {
		t.Errorf("the consumer's offsets are up to %s old, and capacity.Staleness is %s", oldest, capacity.Staleness)
	}
	if window := span(find("internal/kafkax/lag.go", `const arrivalWindow = (\d+)`) + "s"); window != capacity.ArrivalWindow {
		t.Errorf("pods average arrivals over %s, and capacity.ArrivalWindow is %s", window, capacity.ArrivalWindow)
	}
	metric := find("internal/kafkax/lag.go", `NewDesc\("(kafka_\w+per_second)"`)
	trigger := scale.Arrivals{Topic: "topic"}.Trigger()["metadata"].(map[string]any)
	if location := fmt.Sprintf("%s{topic=%q}", metric, "topic"); trigger["valueLocation"] != location {
		t.Errorf("KEDA reads %s, and the pods write %s", trigger["valueLocation"], location)
	}
}
