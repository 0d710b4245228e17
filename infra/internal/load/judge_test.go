package load

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"shopstream/infra/internal/capacity"
)

// story is the recording of a load test: 100 s at 500/s, 100 s at 1,500/s, 10 s at 5,000/s, then quiet until 800 s. One pod
// stores 1,000 purchases per second, so by the model there are 1 and 2 pods, and 2 after the spike.
type story struct {
	Recording
}

const (
	stepAt  = 100 * time.Second
	spikeAt = 200 * time.Second
	quietAt = 210 * time.Second
	endAt   = 800 * time.Second
)

func newStory() *story {
	model := &capacity.Model{PerPod: 1000, Target: 0.8, CatchUp: 30 * time.Second, Min: 1, Max: 6, Partitions: 24}
	s := &story{}
	s.Services = []Service{
		{Name: "store", Model: model, Min: 1, Max: 6, Shrink: Shrink{2 * time.Minute, time.Minute}},
		{Name: "web", PerPod: 800, Min: 1, Max: 3, Shrink: Shrink{2 * time.Minute, time.Minute}},
	}
	for _, p := range []struct {
		name       string
		rate       float64
		start, end time.Duration
	}{{"steady", 500, 0, stepAt}, {"step", 1500, stepAt, spikeAt}, {"spike", 5000, spikeAt, quietAt}, {"quiet", 0, quietAt, endAt}} {
		sent := int(p.rate * (p.end - p.start).Seconds())
		s.Phases = append(s.Phases, Measured{Phase: Phase{p.name, p.rate, p.end - p.start}, Start: p.start, End: p.end, Tally: Tally{Due: sent, Acked: sent}})
	}
	for at := time.Duration(0); at <= endAt; at += time.Second {
		s.Samples = append(s.Samples, Sample{At: at, Pods: map[string]Pods{}})
	}
	s.during(0, stepAt, func(x *Sample) { x.Lag = 250 })
	s.during(stepAt, spikeAt, func(x *Sample) { x.Lag = 750 })
	s.during(spikeAt, quietAt, func(x *Sample) { x.Lag = 30_000 })
	s.during(quietAt, quietAt+14*time.Second, func(x *Sample) { x.Lag = 20_000 })
	s.during(0, endAt, func(x *Sample) { x.Pods["store"], x.Pods["web"] = Pods{1, 1}, Pods{1, 1} })
	s.during(stepAt+20*time.Second, quietAt+2*time.Minute, func(x *Sample) { x.Pods["store"] = Pods{2, 2} })
	s.Audit = compare(map[string]int{"a": 1, "b": 2}, []purchase{{"a", 1}, {"b", 2}})
	return s
}

// during changes what happens in a part of the story.
func (s *story) during(from, to time.Duration, change func(*Sample)) {
	for i := range s.Samples {
		if s.Samples[i].At >= from && s.Samples[i].At <= to {
			change(&s.Samples[i])
		}
	}
}

func TestVerdict(t *testing.T) {
	store := func(ready, wanted int) func(*Sample) {
		return func(x *Sample) { x.Pods["store"] = Pods{wanted, ready} }
	}
	for name, c := range map[string]struct {
		happens func(*story)
		fails   string // the only check that fails: its phase and a part of its text; empty if none does
	}{
		"as the model says": {func(*story) {}, ""},
		"a pod too many under a steady load": {func(s *story) { s.during(0, stepAt-time.Second, store(2, 2)) },
			"steady: store: 1 pods are expected"},
		"a pod that comes late": {func(s *story) { s.during(stepAt, stepAt+70*time.Second, store(1, 2)) },
			"step: store: 2 pods are expected within 40s, ready after 1m11s"},
		"a pod that never comes": {func(s *story) { s.during(stepAt, quietAt+2*time.Minute, store(1, 2)) },
			"step: store: 2 pods are expected within 40s, ready never"},
		"a pod that comes within the reaction of the autoscaler": {func(s *story) { s.during(stepAt, stepAt+39*time.Second, store(1, 2)) }, ""},
		"flapping": {func(s *story) { s.during(stepAt+60*time.Second, stepAt+62*time.Second, store(2, 3)) },
			"step: store: its number of pods changed 2 times in the last 1m0s"},
		"flapping of a service on CPU": {func(s *story) {
			s.during(stepAt+60*time.Second, stepAt+62*time.Second, func(x *Sample) { x.Pods["web"] = Pods{2, 1} })
		}, "step: web: its number of pods changed 2 times"},
		"a service on CPU that needs more pods": {func(s *story) {
			s.during(stepAt+20*time.Second, quietAt+2*time.Minute, func(x *Sample) { x.Pods["web"] = Pods{2, 2} })
		}, ""},
		"a service on CPU that needs more pods than expected": {func(s *story) {
			s.during(0, stepAt-time.Second, func(x *Sample) { x.Pods["web"] = Pods{2, 2} })
		}, "steady: web: at most 1 pods are expected, since 800 purchases per second take as much CPU as a pod should use; in the last 1m0s there were 2 to 2"},
		"pods that don't keep up": {func(s *story) {
			s.during(stepAt, spikeAt, func(x *Sample) { x.Lag = int64((x.At - stepAt).Seconds()) * 100 })
		},
			"step: the lag at the end is"},
		"a backlog that is drained late": {func(s *story) { s.during(quietAt, quietAt+20*time.Second, func(x *Sample) { x.Lag = 20_000 }) },
			"quiet: a backlog of 20000 was drained in 21s; 15s is allowed"},
		"a backlog that stays": {func(s *story) { s.during(quietAt, endAt, func(x *Sample) { x.Lag = 20_000 }) },
			"quiet: a backlog of 20000 was not drained in 9m50s: 20000 are left"},
		"pods that stay": {func(s *story) { s.during(quietAt, endAt, store(2, 2)) },
			"quiet: store: not scaled down to its minimum of 1 pods"},
		"pods that go late": {func(s *story) { s.during(quietAt, quietAt+5*time.Minute, store(2, 2)) },
			"quiet: store: scaled down from 2 to its minimum of 1 pods after 5m1s"},
		"pods that come back": {func(s *story) { s.during(quietAt+9*time.Minute, quietAt+9*time.Minute+time.Second, store(1, 2)) },
			"quiet: store: scaled down from 2 to its minimum of 1 pods after 9m2s"},
		"a refused purchase":           {func(s *story) { s.Phases[1].Tally.Refused = 1 }, "step: 150000 acknowledged, 1 refused"},
		"a purchase without an answer": {func(s *story) { s.Phases[2].Tally.NoAnswer = 1 }, "spike: 50000 acknowledged, 0 refused, 0 failed, 1 without"},
		"a sender that falls behind": {func(s *story) { s.Phases[2].Tally.Late = []time.Duration{0, time.Second} },
			"spike: the sender fell behind"},
		"a shop that stalls": {func(s *story) { s.Phases[2].Tally.Unsent = 9 }, "spike: 5000/s were sent on time; 9 were not sent at all"},
		"a lost purchase": {func(s *story) { s.Audit = compare(map[string]int{"a": 1, "b": 2}, []purchase{{"a", 1}}) },
			": of 2 acknowledged purchases, each looked up, 1 are lost, such as [b]"},
		"a duplicate": {func(s *story) {
			s.Audit = compare(map[string]int{"a": 1, "b": 2}, []purchase{{"a", 1}, {"b", 2}, {"c", 2}})
		}, ": of 3 stored purchases, 1 are duplicates, such as [purchase 2 is stored as b and c]"},
		"a purchase that is listed twice": {func(s *story) { s.Audit = compare(map[string]int{"a": 1}, []purchase{{"a", 1}, {"a", 1}}) },
			": of 2 stored purchases, 1 are duplicates"},
		"a purchase that is stored without an acknowledgement": {func(s *story) {
			s.Audit = compare(map[string]int{"a": 1}, []purchase{{"a", 1}, {"b", 2}})
		}, ""},
		"an audit that finds no database": {func(s *story) { s.Audit = Audit{Problem: "503"} }, ": the audit failed: 503"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			c.happens(s)
			var failed []string
			for _, check := range Judge(&s.Recording) {
				if check.Outcome == Failed {
					failed = append(failed, check.Phase+": "+check.Text)
				}
			}
			switch {
			case c.fails == "" && len(failed) > 0:
				t.Errorf("failed: %q", failed)
			case c.fails != "" && (len(failed) != 1 || !strings.HasPrefix(failed[0], c.fails)):
				t.Errorf("failed: %q, want only %q…", failed, c.fails)
			}
		})
	}
}

// TestWhatIsNotJudged: a check of something unknown does not pass, and says why.
func TestWhatIsNotJudged(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(*story)
		says    string
	}{
		"a stack without autoscaling": {func(s *story) {
			for i := range s.Services {
				s.Services[i].Max = 0
			}
		}, "step: pods, since this stack has no autoscaling"},
		"an api that does not answer":    {func(s *story) { s.during(0, endAt, func(x *Sample) { x.Lag = -1 }) }, "quiet: the lag, since api did not report it"},
		"a cluster that does not answer": {func(s *story) { s.during(0, endAt, func(x *Sample) { clear(x.Pods) }) }, "step: store: its pods could not be counted"},
		"a short phase":                  {func(*story) {}, "spike: pods, since the phase is too short"},
		"more than all pods can do":      {func(s *story) { s.Services[0].Model.Max, s.Phases[1].Rate = 1, 1500 }, "step: the lag (750), since 1500/s are more than 1 pods can store"},
		"an interrupted load":            {func(s *story) { s.Phases[1].Interrupted, s.Audit = true, Audit{} }, "step: it was interrupted after 1m40s"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			c.happens(s)
			var all []string
			for _, check := range Judge(&s.Recording) {
				if check.Outcome == NotJudged {
					all = append(all, check.Phase+": "+check.Text)
				}
			}
			if !strings.Contains(fmt.Sprint(all), c.says) {
				t.Errorf("not judged: %q, want %q…", all, c.says)
			}
		})
	}
}
