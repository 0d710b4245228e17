package load

import (
	"fmt"
	"time"

	"shopstream/infra/internal/capacity"
)

// Outcome of a check.
type Outcome int

// What can't be judged is neither passed nor failed, and says why.
const (
	Passed Outcome = iota
	Failed
	NotJudged
)

func (o Outcome) String() string { return [...]string{"ok", "FAILED", "not judged"}[o] }

// Check is one line of the verdict.
type Check struct {
	Phase   string // empty for the whole load
	Outcome Outcome
	Text    string
}

const (
	// maxLate is by how much 1 purchase in 100 may have been sent late: beyond it the load was not the one that was asked for.
	maxLate = 100 * time.Millisecond

	// calm is how long the number of pods must not change under a steady load.
	calm = time.Minute

	// tolerance is how much longer than the model says a backlog may take, and sampling what the samples can't tell apart.
	tolerance = 1.15
	sampling  = 3 * time.Second
)

// Judge compares a recording with what the model says. It has no other source.
func Judge(r *Recording) []Check {
	var all []Check
	for i := range r.Phases {
		p := &r.Phases[i]
		j := judge{r, p, nil}
		switch {
		case p.Cut:
			j.add(NotJudged, "it was interrupted after %s", (p.End - p.Start).Round(time.Second))
			j.answers()
		case p.Rate > 0:
			j.sending()
			j.answers()
			j.lag()
			j.pods()
		default:
			j.drained()
			j.shrunk()
		}
		all = append(all, j.checks...)
	}
	return append(all, r.Audit.checks()...)
}

type judge struct {
	*Recording
	p      *Measured
	checks []Check
}

func (j *judge) add(o Outcome, format string, args ...any) {
	j.checks = append(j.checks, Check{j.p.Name, o, fmt.Sprintf(format, args...)})
}

// is adds a check that passes if it holds.
func (j *judge) is(holds bool, format string, args ...any) {
	o := Failed
	if holds {
		o = Passed
	}
	j.add(o, format, args...)
}

func (j *judge) sending() {
	t, late := j.p.Tally, quantile(j.p.Tally.Late, 0.99)
	unsent := some(t.Unsent, "; %d were not sent at all, since %d were waiting for an answer", t.Unsent, maxWaiting)
	if late > maxLate {
		j.add(Failed, "the sender fell behind: 1 in 100 purchases was sent %s late or later%s. This machine can't send %.0f/s to that shop: lower RATE", round(late), unsent, j.p.Rate)
		return
	}
	j.is(t.Unsent == 0, "%.0f/s were sent on time%s", j.p.Rate, unsent)
}

func some(n int, format string, args ...any) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

func (j *judge) answers() {
	t := j.p.Tally
	if t.Due == 0 {
		return
	}
	j.is(t.Refused+t.Failed+t.Cut == 0, "%d acknowledged, %d refused, %d failed, %d without an answer; p50 %s, p99 %s, stored after p50 %s, p99 %s",
		t.Acked, t.Refused, t.Failed, t.Cut, round(quantile(t.Latency, 0.5)), round(quantile(t.Latency, 0.99)), round(quantile(t.EndToEnd, 0.5)), round(quantile(t.EndToEnd, 0.99)))
}

func round(d time.Duration) string {
	switch {
	case d == 0:
		return "?"
	case d < 10*time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// storing is the service that stores purchases.
func (j *judge) storing() *Service {
	for i := range j.Services {
		if j.Services[i].Model != nil {
			return &j.Services[i]
		}
	}
	return nil
}

// settled is when the pods that a phase needs had to work: the autoscaler's reaction after its start, for a phase long enough.
func (j *judge) settled() (from time.Duration, ok bool) {
	from = max(j.p.Start+capacity.Reaction, j.p.End-calm)
	return from, j.p.End-from >= calm/2
}

// lag judges a phase that lasts: at its end the pods keep up. A short one leaves its backlog to be drained later.
func (j *judge) lag() {
	s, at := j.storing(), j.within(j.p.End-10*time.Second, j.p.End)
	_, lasting := j.settled()
	if s == nil || !lasting {
		return
	}
	lag := int64(-1)
	for _, sample := range at {
		if sample.Lag >= 0 && (lag < 0 || sample.Lag < lag) {
			lag = sample.Lag
		}
	}
	if lag < 0 {
		j.add(NotJudged, "the lag, since api did not tell it")
		return
	}
	pods := s.Model.Pods(j.p.Rate, 0)
	if j.p.Rate > s.Model.Rate(pods) {
		j.add(NotJudged, "the lag (%d), since %.0f/s are more than %d pods do", lag, j.p.Rate, pods)
		return
	}
	most := int64(2*capacity.SteadyLag(j.p.Rate)) + 10
	j.is(lag <= most, "the lag at its end is %d, and may be %d while pods keep up", lag, most)
}

// pods judges the number of pods: the model's from the moment that the autoscaler had to have reacted, and without a change.
func (j *judge) pods() {
	if !j.scaled() {
		j.add(NotJudged, "pods, since this stack has no autoscaling")
		return
	}
	from, ok := j.settled()
	if !ok {
		j.add(NotJudged, "pods, since the phase is over before autoscalers have reacted (%s) and been watched (%s)", capacity.Reaction, calm/2)
		return
	}
	samples := j.within(from, j.p.End)
	for _, s := range j.Services {
		least, most, changes, known := 0, 0, 0, 0
		var wanted int
		for _, sample := range samples {
			pods, ok := sample.Pods[s.Name]
			if !ok {
				continue
			}
			if known++; known == 1 {
				least, most, wanted = pods.Ready, pods.Ready, pods.Wanted
			}
			least, most = min(least, pods.Ready), max(most, pods.Ready)
			if pods.Wanted != wanted {
				changes, wanted = changes+1, pods.Wanted
			}
		}
		watched := (j.p.End - from).Round(time.Second)
		switch {
		case known == 0:
			j.add(NotJudged, "%s: its pods could not be counted", s.Name)
			continue
		case s.Model == nil:
			j.add(NotJudged, "%s: how many pods its CPU needs is not predicted; it had %d to %d ready", s.Name, least, most)
		default:
			want := s.Model.Pods(j.p.Rate, 0)
			reached, when := j.reached(s.Name, want)
			text := "never"
			if reached {
				text = "after " + when.Round(time.Second).String()
			}
			j.is(least == want && most == want, "%s: %d pods are expected within %s, ready %s; in the last %s there were %d to %d",
				s.Name, want, capacity.Reaction, text, watched, least, most)
		}
		j.is(changes == 0, "%s: its number of pods was changed %d times in the last %s", s.Name, changes, watched)
	}
}

// reached is how long after the phase's start a service first had that many pods ready.
func (j *judge) reached(service string, want int) (bool, time.Duration) {
	for _, sample := range j.within(j.p.Start, j.p.End) {
		if pods, ok := sample.Pods[service]; ok && pods.Ready == want {
			return true, max(sample.At-j.p.Start, 0)
		}
	}
	return false, 0
}

// drained judges a quiet phase: the backlog at its start is gone when the model says, with the pods that it calls for.
func (j *judge) drained() {
	s := j.storing()
	var samples []Sample
	for _, sample := range j.within(j.p.Start, j.p.End) {
		if sample.Lag >= 0 {
			samples = append(samples, sample)
		}
	}
	if s == nil || len(samples) == 0 {
		j.add(NotJudged, "the lag, since api did not tell it")
		return
	}
	backlog := int(samples[0].Lag)
	most := drainTime(s, backlog, samples[0].Pods[s.Name].Ready)
	for _, sample := range samples {
		if sample.Lag == 0 {
			took := max(sample.At-j.p.Start, 0)
			j.is(took <= most, "a backlog of %d was drained in %s, and %s are allowed", backlog, took.Round(time.Second), most.Round(time.Second))
			return
		}
	}
	j.add(Failed, "a backlog of %d was not drained in %s: %d are left", backlog, (j.p.End - j.p.Start).Round(time.Second), samples[len(samples)-1].Lag)
}

// drainTime is how long a backlog may take: with the pods that are there until the autoscaler has reacted, then with those
// that it calls for.
func drainTime(s *Service, backlog, pods int) time.Duration {
	left, took := backlog, time.Duration(0)
	pods = max(pods, 1)
	if want := s.Model.Pods(0, backlog); want > pods {
		left -= int(s.Model.Rate(pods) * capacity.Reaction.Seconds())
		took, pods = capacity.Reaction, want
	}
	more, _ := s.Model.DrainTime(pods, 0, max(left, 0))
	return time.Duration(tolerance*float64(took+more)) + capacity.Staleness + sampling
}

// shrunk judges whether the pods are back at their minimum when the autoscaler's behaviour says.
func (j *judge) shrunk() {
	samples := j.within(j.p.Start, j.p.End)
	for _, s := range j.Services {
		if !j.scaled() || s.Max == s.Min {
			continue
		}
		back, most, known := time.Duration(-1), s.Min, false
		for _, sample := range samples {
			pods, ok := sample.Pods[s.Name]
			known = known || ok
			most = max(most, pods.Wanted)
			switch {
			case ok && pods.Wanted != s.Min:
				back = -1
			case ok && back < 0:
				back = max(sample.At-j.p.Start, 0)
			}
		}
		within := shrinkTime(s, most)
		switch {
		case !known:
			j.add(NotJudged, "%s: its pods could not be counted", s.Name)
		case back < 0:
			j.add(Failed, "%s: it is not back at its minimum of %d pods after %s; the model says %s", s.Name, s.Min, (j.p.End - j.p.Start).Round(time.Second), within.Round(time.Second))
		default:
			j.is(back <= within, "%s: back from %d at its minimum of %d pods after %s, and %s are allowed", s.Name, most, s.Min, back.Round(time.Second), within.Round(time.Second))
		}
	}
}

// shrinkTime is how long it takes from that many pods to the minimum, from when there is nothing to do.
func shrinkTime(s Service, pods int) time.Duration {
	if pods <= s.Min {
		return sampling
	}
	most := s.Shrink.Window + capacity.Reaction
	for left := (pods + 1) / 2; left > s.Min; left = (left + 1) / 2 {
		most += s.Shrink.Step
	}
	if s.Model != nil { // first it has to drain what is left
		most += s.Model.CatchUp
	}
	return time.Duration(tolerance * float64(most))
}
