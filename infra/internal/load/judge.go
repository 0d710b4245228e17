package load

import (
	"fmt"
	"strings"
	"time"

	"shopstream/infra/internal/capacity"
)

// Outcome of a check.
type Outcome int

// A check that can't be judged has neither passed nor failed, and says why.
const (
	Passed Outcome = iota
	Failed
	NotJudged
)

func (o Outcome) String() string { return [...]string{"ok", "FAILED", "not judged"}[o] }

// Check is one line of the results.
type Check struct {
	Phase   string // empty for the whole load test
	Outcome Outcome
	Text    string
}

const (
	// maxLate is how late 1 purchase in 100 may have been sent. If it was later, the load was not the requested one.
	maxLate = 100 * time.Millisecond

	// steadyFor is how long the number of pods must not change under a steady load.
	steadyFor = time.Minute

	// tolerance is how much longer than in the model a backlog may take. sampling is the inaccuracy of the samples.
	tolerance = 1.15
	sampling  = 3 * time.Second
)

// Judge compares a recording with the model.
func Judge(r *Recording) []Check {
	var all []Check
	for i := range r.Phases {
		p := &r.Phases[i]
		j := judge{r, p, nil}
		switch {
		case p.Interrupted:
			j.add(NotJudged, "it was interrupted after %s", (p.End - p.Start).Round(time.Second))
			j.answers()
		case p.Rate > 0:
			j.sending()
			j.answers()
			j.lag()
			j.pods()
		default:
			j.drained()
			j.scaledDown()
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
	j.is(t.Refused+t.Failed+t.NoAnswer == 0, "%d acknowledged, %d refused, %d failed, %d without an answer; p50 %s, p99 %s, at most %s without an acknowledgement; stored after p50 %s, p99 %s",
		t.Acked, t.Refused, t.Failed, t.NoAnswer, round(quantile(t.Latency, 0.5)), round(quantile(t.Latency, 0.99)), round(t.Gap), round(quantile(t.EndToEnd, 0.5)), round(quantile(t.EndToEnd, 0.99)))
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

// store returns the service that stores the purchases; nil if it is not watched.
func (j *judge) store() *Service {
	for i := range j.Services {
		if j.Services[i].Model != nil {
			return &j.Services[i]
		}
	}
	return nil
}

// enough says how many pods are expected for a rate.
func (j *judge) enough(rate float64) string {
	var all []string
	for _, s := range j.Services {
		all = append(all, fmt.Sprintf("%s %d", s.Name, s.expected(rate)))
	}
	return "; pods that are enough: " + strings.Join(all, ", ")
}

// settled returns the time from which the number of pods must be right: once the autoscaler has had time to react. It returns
// false if the phase is too short for that.
func (j *judge) settled() (from time.Duration, ok bool) {
	from = max(j.p.Start+capacity.Reaction, j.p.End-steadyFor)
	return from, j.p.End-from >= steadyFor/2
}

// lag judges whether the pods keep up at the end of a long phase. The backlog of a short one is drained later.
func (j *judge) lag() {
	s, at := j.store(), j.within(j.p.End-10*time.Second, j.p.End)
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
		j.add(NotJudged, "the lag, since api did not report it")
		return
	}
	pods := s.Model.Pods(j.p.Rate, 0)
	if j.p.Rate > s.Model.Rate(pods) {
		j.add(NotJudged, "the lag (%d), since %.0f/s are more than %d pods can store", lag, j.p.Rate, pods)
		return
	}
	most := int64(2*capacity.SteadyLag(j.p.Rate)) + 10
	j.is(lag <= most, "the lag at the end is %d; while pods keep up it is at most %d", lag, most)
}

// pods judges the number of pods: once the autoscaler has had time to react it must be the model's, and must not change.
func (j *judge) pods() {
	if !j.scaled() {
		j.add(NotJudged, "pods, since this stack has no autoscaling")
		return
	}
	from, ok := j.settled()
	if !ok {
		j.add(NotJudged, "pods, since the phase is too short for the autoscalers to react (%s) and to be watched (%s)", capacity.Reaction, steadyFor/2)
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
		watched, want := (j.p.End - from).Round(time.Second), s.expected(j.p.Rate)
		switch {
		case known == 0:
			j.add(NotJudged, "%s: its pods could not be counted", s.Name)
			continue
		case s.Model == nil:
			j.is(most <= want, "%s: at most %d pods are expected, since %.0f purchases per second take as much CPU as a pod should use; in the last %s there were %d to %d",
				s.Name, want, s.PerPod, watched, least, most)
		default:
			reached, when := j.reached(s.Name, want)
			text := "never"
			if reached {
				text = "after " + when.Round(time.Second).String()
			}
			j.is(least == want && most == want, "%s: %d pods are expected within %s, ready %s; in the last %s there were %d to %d",
				s.Name, want, capacity.Reaction, text, watched, least, most)
		}
		j.is(changes == 0, "%s: its number of pods changed %d times in the last %s", s.Name, changes, watched)
	}
}

// reached returns how long after the start of the phase a service first had that many pods ready.
func (j *judge) reached(service string, want int) (bool, time.Duration) {
	for _, sample := range j.within(j.p.Start, j.p.End) {
		if pods, ok := sample.Pods[service]; ok && pods.Ready == want {
			return true, max(sample.At-j.p.Start, 0)
		}
	}
	return false, 0
}

// drained judges whether the backlog at the start of a quiet phase is drained within the model's time.
func (j *judge) drained() {
	s := j.store()
	var samples []Sample
	for _, sample := range j.within(j.p.Start, j.p.End) {
		if sample.Lag >= 0 {
			samples = append(samples, sample)
		}
	}
	if s == nil || len(samples) == 0 {
		j.add(NotJudged, "the lag, since api did not report it")
		return
	}
	backlog := int(samples[0].Lag)
	most := drainTime(s, backlog, samples[0].Pods[s.Name].Ready)
	for _, sample := range samples {
		if sample.Lag == 0 {
			took := max(sample.At-j.p.Start, 0)
			j.is(took <= most, "a backlog of %d was drained in %s; %s is allowed", backlog, took.Round(time.Second), most.Round(time.Second))
			return
		}
	}
	j.add(Failed, "a backlog of %d was not drained in %s: %d are left", backlog, (j.p.End - j.p.Start).Round(time.Second), samples[len(samples)-1].Lag)
}

// drainTime is how long draining a backlog may take: with the present pods until the autoscaler has reacted, then with as many
// as the backlog needs.
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

// scaledDown judges whether the pods are back at their minimum as soon as the autoscaler's behavior allows.
func (j *judge) scaledDown() {
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
			j.add(Failed, "%s: not scaled down to its minimum of %d pods after %s; %s is allowed", s.Name, s.Min, (j.p.End - j.p.Start).Round(time.Second), within.Round(time.Second))
		default:
			j.is(back <= within, "%s: scaled down from %d to its minimum of %d pods after %s; %s is allowed", s.Name, most, s.Min, back.Round(time.Second), within.Round(time.Second))
		}
	}
}

// shrinkTime is how long scaling down from that many pods to the minimum may take, counted from the end of the load.
func shrinkTime(s Service, pods int) time.Duration {
	if pods <= s.Min {
		return sampling
	}
	most := s.Shrink.Window + capacity.Reaction
	for left := (pods + 1) / 2; left > s.Min; left = (left + 1) / 2 {
		most += s.Shrink.Step
	}
	if s.Model != nil { // it drains the backlog first
		most += s.Model.CatchUp
	}
	return time.Duration(tolerance * float64(most))
}
