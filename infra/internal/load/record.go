package load

import (
	"slices"
	"time"

	"shopstream/infra/internal/capacity"
)

// Recording is what was measured; Judge and the plot are made from it alone. Its times count from the start of the load.
type Recording struct {
	Services []Service
	Phases   []Measured
	Samples  []Sample
	Audit    Audit
}

// Service is one whose pods are watched.
type Service struct {
	Name string

	// Model predicts the pods of a service that stores the purchases; nil where it is CPU that decides, whose cost per
	// purchase depends on the node.
	Model *capacity.Model

	Min, Max int
	Shrink   Shrink
}

// Shrink is how an autoscaler removes pods: none before a lower number was enough for Window, then half of them every Step.
type Shrink struct{ Window, Step time.Duration }

// Measured is a phase as it went.
type Measured struct {
	Phase
	Start, End time.Duration
	Tally      Tally
	Cut        bool // interrupted before its end
}

// Sample is the state of the platform at one moment.
type Sample struct {
	At   time.Duration
	Lag  int64 // of the group that stores purchases; -1 where it could not be asked for
	Pods map[string]Pods

	// Of the second before: purchases acknowledged, the slowest one in a hundred, and from due to stored.
	Acked                   int
	P99, Stored50, Stored99 time.Duration
	Waiting                 int
}

// Pods is how many an autoscaler wants of a service, and how many are ready.
type Pods struct{ Wanted, Ready int }

// scaled reports whether there are autoscalers to judge.
func (r *Recording) scaled() bool { return len(r.Services) > 0 && r.Services[0].Max > 0 }

// within returns the samples from one moment until before another.
func (r *Recording) within(from, to time.Duration) []Sample {
	var some []Sample
	for _, s := range r.Samples {
		if s.At >= from && s.At < to {
			some = append(some, s)
		}
	}
	return some
}

// quantile sorts a copy. It is 0 of nothing.
func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
