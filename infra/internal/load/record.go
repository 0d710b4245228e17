package load

import (
	"math"
	"slices"
	"time"

	"shopstream/infra/internal/capacity"
)

// Recording is everything that was measured, for Judge and the plot. Its times count from the start of the load test.
type Recording struct {
	Services []Service
	Phases   []Measured
	Samples  []Sample
	Audit    Audit
}

// Service is a service whose pods are watched.
type Service struct {
	Name string

	// Model predicts the number of pods of the service that stores the purchases. It is nil for a service that scales on CPU.
	Model *capacity.Model

	// PerPod is how many purchases per second bring a pod of a service without Model to its CPU target. On a faster node it is
	// more, so it predicts how many pods there are at most.
	PerPod float64

	Min, Max int
	Shrink   Shrink
}

// expected is the number of pods for that many purchases per second.
func (s Service) expected(rate float64) int {
	if s.Model != nil {
		return s.Model.Pods(rate, 0)
	}
	return min(max(int(math.Ceil(rate/s.PerPod)), s.Min), s.Max)
}

// Shrink is how an autoscaler scales down: once fewer pods have been enough for Window, it removes half of them every Step.
type Shrink struct{ Window, Step time.Duration }

// Measured is the result of a phase.
type Measured struct {
	Phase
	Start, End  time.Duration
	Tally       Tally
	Interrupted bool // before its end
}

// Sample is the state of the platform at one moment.
type Sample struct {
	At   time.Duration
	Lag  int64 // of the consumer group that stores the purchases; -1 if unknown
	Pods map[string]Pods

	// In the last second: the acknowledged purchases, and the p99 of their latency. In the last ten: p50 and p99 until stored.
	Acked                   int
	P99, Stored50, Stored99 time.Duration
	Waiting                 int
}

// Pods is how many pods an autoscaler wants for a service, and how many are ready.
type Pods struct{ Wanted, Ready int }

// scaled reports whether there are autoscalers to judge.
func (r *Recording) scaled() bool { return len(r.Services) > 0 && r.Services[0].Max > 0 }

// within returns the samples from one moment, included, to another, excluded.
func (r *Recording) within(from, to time.Duration) []Sample {
	var some []Sample
	for _, s := range r.Samples {
		if s.At >= from && s.At < to {
			some = append(some, s)
		}
	}
	return some
}

// quantile returns a quantile of unsorted durations; 0 if there are none.
func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
