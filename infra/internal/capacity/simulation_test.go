package capacity

import (
	"math"
	"slices"
	"testing"
	"time"
)

// simulation plays a service second by second: records that arrive, pods that finish what is in their partitions, KEDA that
// asks for lag, and the autoscaler as Kubernetes computes it. It uses nothing of the Model but its settings.
type simulation struct {
	Model
	backlog      []float64 // by partition
	ready        []int     // for each pod, the second in which it starts to work
	second       int
	lag, arrives float64   // as KEDA has last asked for them
	arrived      []float64 // in each second
	advice       []int     // of the autoscaler, in each sync
	removed      []removal
	pods         []int // in each second
}

type removal struct{ second, pods int }

const (
	syncEvery  = 15 // seconds between two runs of the autoscaler
	startTakes = 5
	tolerance  = 0.1
)

func simulate(m Model) *simulation {
	return &simulation{Model: m, backlog: make([]float64, m.Partitions), ready: make([]int, m.Min)}
}

// run lets records arrive at a rate for so long.
func (s *simulation) run(rate float64, long time.Duration) {
	for range int(long.Seconds()) {
		s.work(rate)
		if s.second%int(PollInterval.Seconds()) == 0 {
			s.arrives = s.arriving()
			s.lag = float64(SteadyLag(rate))
			for _, b := range s.backlog {
				s.lag += b
			}
		}
		if s.second%syncEvery == 0 {
			s.sync()
		}
		s.pods = append(s.pods, len(s.ready))
		s.second++
	}
}

// work spreads the partitions over the pods that work, and lets each finish what it can.
func (s *simulation) work(rate float64) {
	s.arrived = append(s.arrived, rate)
	for p := range s.backlog {
		s.backlog[p] += rate / float64(s.Partitions)
	}
	working := 0
	for _, at := range s.ready {
		if at <= s.second {
			working++
		}
	}
	for pod := range min(working, s.Partitions) {
		left := s.PerPod
		for p := pod; p < s.Partitions; p += working {
			some := min(left, s.backlog[p])
			s.backlog[p] -= some
			left -= some
		}
	}
}

// sync is one run of the autoscaler: the trigger that wants most pods decides.
func (s *simulation) sync() {
	current := len(s.ready)
	want := max(s.wanted(s.reported(), float64(s.Threshold()), current), s.wanted(s.arrives, float64(s.Steady()), current))
	want = min(max(want, s.Min), s.Max)
	s.advice = append(s.advice, want)
	if want >= current {
		for range want - current {
			s.ready = append(s.ready, s.second+startTakes)
		}
		return
	}
	// Not below what was wanted within the window, and not below half of what there was a minute ago.
	window := min(len(s.advice), int(ShrinkAfter.Seconds())/syncEvery+1)
	lately := 0
	s.removed = slices.DeleteFunc(s.removed, func(r removal) bool { return r.second <= s.second-int(ShrinkEvery.Seconds()) })
	for _, r := range s.removed {
		lately += r.pods
	}
	want = min(current, max(want, slices.Max(s.advice[len(s.advice)-window:]), int(math.Ceil(float64(current+lately)/2))))
	if want < current {
		s.removed = append(s.removed, removal{s.second, current - want})
		s.ready = s.ready[:want]
	}
}

// reported is the lag as KEDA's scaler reports it: at most for a pod for each partition.
func (s *simulation) reported() float64 {
	return min(s.lag, float64(s.Partitions*s.Threshold()))
}

// arriving is the rate of the last seconds, as the pods report it.
func (s *simulation) arriving() float64 {
	last := s.arrived[max(0, len(s.arrived)-int(ArrivalWindow.Seconds())):]
	sum := 0.0
	for _, n := range last {
		sum += n
	}
	return sum / float64(len(last))
}

func (s *simulation) wanted(total, target float64, current int) int {
	if ratio := total / target / float64(current); math.Abs(1-ratio) <= tolerance {
		return current
	}
	return ceil(total / target)
}

func (s *simulation) left() (sum float64) {
	for _, b := range s.backlog {
		sum += b
	}
	return sum
}

// catchUp puts a backlog into the partitions, and returns how long it takes until it is gone while records go on arriving.
func (s *simulation) catchUp(rate float64, backlog int) time.Duration {
	for p := range s.backlog {
		s.backlog[p] += float64(backlog) / float64(s.Partitions)
	}
	begin := s.second
	for s.left() > rate && s.second-begin < 3600 {
		s.run(rate, time.Second)
	}
	return time.Duration(s.second-begin) * time.Second
}

// TestASteadyRateKeepsItsPods raises the rate step by step, and lowers it again, each for forty minutes. In the last twenty the
// number of pods never changes, it is the model's, and they keep up.
func TestASteadyRateKeepsItsPods(t *testing.T) {
	for _, most := range []int{3, 6, 12} {
		m := Model{PerPod: 1000, Target: 0.8, CatchUp: 30 * time.Second, Min: 1, Max: most, Partitions: PartitionsPerPod * most}
		s := simulate(m)
		steps := 16 * most
		for step := range 2 * steps {
			rate := 50 * float64(1+min(step, 2*steps-step-1)) // to what the most pods are to do, and back
			s.run(rate, 40*time.Minute)
			settled := s.pods[len(s.pods)-20*60:]
			if slices.Min(settled) != slices.Max(settled) || s.left() > rate {
				t.Errorf("at most %d pods, %.0f/s: %d to %d pods, and a backlog of %.0f", most, rate, slices.Min(settled), slices.Max(settled), s.left())
			}
			// The autoscaler leaves the pods alone as long as they are within a tenth of its target.
			if least, most := m.Pods(rate/(1+tolerance), 0), m.Pods(rate/(1-tolerance), 0); settled[0] < least || settled[0] > most {
				t.Errorf("%.0f/s: %d pods, the model says %d", rate, settled[0], m.Pods(rate, 0))
			}
		}
	}
}

// TestFewPartitionsFlap is why there are PartitionsPerPod: with one for each pod, five pods do no more than three.
func TestFewPartitionsFlap(t *testing.T) {
	s := simulate(Model{PerPod: 1000, Target: 0.8, CatchUp: 30 * time.Second, Min: 1, Max: 6, Partitions: 6})
	s.run(3500, time.Hour)
	if settled := s.pods[len(s.pods)/2:]; slices.Min(settled) == slices.Max(settled) {
		t.Errorf("%d pods all the time: PartitionsPerPod could be 1", settled[0])
	}
}

// TestABacklogIsDrainedAsTheModelSays: with the pods that are there until the autoscaler has reacted, then with the model's.
func TestABacklogIsDrainedAsTheModelSays(t *testing.T) {
	for _, rate := range []float64{0, 500} {
		for backlog := 10_000; backlog < 400_000; backlog += 13_000 {
			s := simulate(model)
			s.run(rate, 5*time.Minute)
			before := len(s.ready)
			took := s.catchUp(rate, backlog)
			left, said := backlog, time.Duration(0)
			want := model.Pods(rate, backlog)
			if want > before {
				left, said = left-int((model.Rate(before)-rate)*Reaction.Seconds()), Reaction
			}
			more, _ := model.DrainTime(want, rate, max(0, left))
			if said += more; took.Seconds() > 1.15*said.Seconds()+1 {
				t.Errorf("%.0f/s and a backlog of %d: it took %s with up to %d pods, the model says %s with %d", rate, backlog, took, slices.Max(s.pods), said, want)
			}
			if s.run(rate, 15*time.Minute); len(s.ready) != before {
				t.Errorf("%.0f/s and a backlog of %d: %d pods are left, %d were there before", rate, backlog, len(s.ready), before)
			}
		}
	}
}

// TestAPlanCarriesItsLoad plays each plan: its pods keep up without a change, and catch up what has arrived while their
// partitions stood still, in no more time than their spare capacity takes.
func TestAPlanCarriesItsLoad(t *testing.T) {
	for rate := 10.0; rate <= 200_000; rate *= 2.7 {
		p, err := For(load(rate, "broker"))
		if err != nil {
			t.Fatal(err)
		}
		m := Model{PerPod: p.Load.PerPod, Target: podTarget, CatchUp: p.Load.CatchUp, Min: 1, Max: p.CatchingUp, Partitions: p.Partitions}
		s := simulate(m)
		s.run(rate, 20*time.Minute)
		if settled := s.pods[len(s.pods)-5*60:]; s.left() > rate || slices.Min(settled) != p.ManagementAPI || slices.Max(settled) != p.ManagementAPI {
			t.Errorf("%.0f/s: %d to %d pods and a backlog of %.0f, the plan says %d pods", rate, slices.Min(settled), slices.Max(settled), s.left(), p.ManagementAPI)
		}
		backlog := int(rate * Reaction.Seconds())
		most, _ := m.DrainTime(p.ManagementAPI, rate, backlog)
		if took := s.catchUp(rate, backlog); took.Seconds() > 1.15*most.Seconds()+1 {
			t.Errorf("%.0f/s: a backlog of %s is caught up in %s, the plan says %s", rate, Reaction, took, most)
		}
	}
}
