package capacity

import (
	"math"
	"strings"
	"testing"
	"time"
)

func load(rate float64, fails string) Load {
	return Load{Rate: rate, Size: 300, Retention: 7 * 24 * time.Hour, Kept: 365 * 24 * time.Hour, CatchUp: 30 * time.Second, PerPod: 5000, Fails: fails}
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		rate                                                   float64
		fails                                                  string
		brokers, partitions, web, management, catching, shards int
		change                                                 string
	}{
		{10, "broker", 3, 6, 1, 1, 1, 1, ""},
		{500, "zone", 3, 6, 1, 1, 1, 6, "shard"}, // 11 TB in a year
		{5000, "broker", 3, 12, 3, 2, 3, 57, "shard"},
		{50_000, "zone", 3, 96, 25, 13, 24, 564, "shard"},
		{100_000, "broker", 3, 192, 49, 25, 48, 1127, "shard"},
		{1_000_000, "none", 18, 1872, 486, 250, 468, 11263, "controllers"},
		{1_000_000, "broker", 19, 1872, 486, 250, 468, 11263, "controllers"},
		{1_000_000, "zone", 27, 1872, 486, 250, 468, 11263, "controllers"},
		{5_000_000, "zone", 135, 9336, 2429, 1250, 2334, 56315, "3 cells"},
	} {
		p, err := For(load(c.rate, c.fails))
		if err != nil {
			t.Fatal(err)
		}
		got := []int{p.Brokers, p.Partitions, p.WebServer, p.ManagementAPI, p.CatchingUp, p.Shards}
		want := []int{c.brokers, c.partitions, c.web, c.management, c.catching, c.shards}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%v/s, %s fails: brokers, partitions, web-server, management-api, catching up, shards %v, want %v", c.rate, c.fails, got, want)
				break
			}
		}
		if !strings.Contains(strings.Join(p.Changes, "\n"), c.change) || c.change == "" && len(p.Changes) > 0 {
			t.Errorf("%v/s: the design changes in %q, want %q", c.rate, p.Changes, c.change)
		}
	}
}

// TestThePlanWorks checks each plan: the remaining brokers write everything, and the pods catch up in time.
func TestThePlanWorks(t *testing.T) {
	for rate := 10.0; rate <= 1e6; rate *= 1.7 {
		for _, fails := range []string{"none", "broker", "zone"} {
			p, err := For(load(rate, fails))
			if err != nil {
				t.Fatal(err)
			}
			m := Model{PerPod: 5000, CatchUp: p.Load.CatchUp, Min: 1, Max: p.Partitions, Partitions: p.Partitions}
			if took, ok := m.DrainTime(p.CatchingUp, rate, int(rate*Reaction.Seconds())); !ok || took > m.CatchUp {
				t.Errorf("%v/s: %d pods catch up in %s (%t)", rate, p.CatchingUp, took, ok)
			}
			if m.Rate(p.Partitions) < rate || p.BrokerIn > bytesPerBroker || p.Brokers < 3 {
				t.Errorf("%v/s, %s fails: %d brokers that write %.0f/s each, pods that finish %v/s", rate, fails, p.Brokers, p.BrokerIn, m.Rate(p.Partitions))
			}
		}
	}
}

func TestFaultsOfALoadAreNamedAtOnce(t *testing.T) {
	_, err := For(Load{Rate: math.NaN(), Fails: "everything"})
	for _, name := range []string{"RATE", "SIZE", "RETENTION", "KEPT", "CATCH_UP", "DRAIN", "FAILS"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("no word about %s: %v", name, err)
		}
	}
}

// TestThePlanAgreesWithMeasurements of docs/infra-scaling.md: the pods of management-api and of web-server that a cluster had. The
// points without pods of web-server are older than its target.
func TestThePlanAgreesWithMeasurements(t *testing.T) {
	for _, m := range []struct {
		rate, perPod    float64
		management, web int
	}{{500, 5000, 1, 1}, {1500, 5000, 1, 1}, {100, 250, 1, 0}, {500, 250, 3, 0}} {
		l := load(m.rate, "none")
		l.PerPod = m.perPod
		p, err := For(l)
		if err != nil || p.ManagementAPI != m.management {
			t.Errorf("%v/s, one pod finishes %v/s: %d pods of management-api, %v; it had %d", m.rate, m.perPod, p.ManagementAPI, err, m.management)
		}
		if m.web > 0 && p.WebServer != m.web {
			t.Errorf("%v/s: %d pods of web-server; it had %d", m.rate, p.WebServer, m.web)
		}
	}
}
