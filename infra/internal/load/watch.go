package load

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	sampleEvery = time.Second
	printEvery  = 5 // samples
)

// watch samples the platform every second, and prints progress, until the context ends. A sample that takes longer delays the
// next one.
func (r *run) watch(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		s := r.sample(ctx)
		if ctx.Err() != nil {
			return
		}
		r.mu.Lock()
		r.rec.Samples = append(r.rec.Samples, s)
		phase := r.current
		r.mu.Unlock()
		if n%printEvery == 0 {
			r.say("%s", s.line(phase, r.rec.Services))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *run) sample(ctx context.Context) Sample {
	asking, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s := Sample{Lag: -1, Pods: map[string]Pods{}}
	lag, err := r.api.lag(asking, r.Group)
	switch {
	case err == nil:
		s.Lag, r.unknown = lag, ""
	case ctx.Err() == nil && err.Error() != r.unknown:
		r.unknown = err.Error()
		r.say("       the lag is unknown: %s", r.unknown)
	}
	if r.Pods != nil {
		if pods, err := r.Pods(asking); err == nil {
			s.Pods = pods
		}
	}
	s.At = time.Since(r.origin)
	// Only a few purchases per second are followed, so the times until stored are those of the last ten seconds.
	acks, waiting := r.since(s.At - 10*time.Second)
	var answered, stored []time.Duration
	for _, a := range acks {
		if a.due+a.answered >= s.At-sampleEvery {
			answered = append(answered, a.answered)
		}
		if a.stored > 0 {
			stored = append(stored, a.stored)
		}
	}
	s.Acked, s.Waiting, s.P99 = len(answered), waiting, quantile(answered, 0.99)
	s.Stored50, s.Stored99 = quantile(stored, 0.5), quantile(stored, 0.99)
	return s
}

// line is one line of progress.
func (s Sample) line(phase string, services []Service) string {
	lag := "?"
	if s.Lag >= 0 {
		lag = fmt.Sprint(s.Lag)
	}
	line := fmt.Sprintf("%5s  %-8s %5d/s  waiting %d  lag %s  answered p99 %s  stored p50 %s p99 %s", s.At.Round(time.Second), phase, s.Acked,
		s.Waiting, lag, round(s.P99), round(s.Stored50), round(s.Stored99))
	var pods []string
	for _, service := range services {
		if p, ok := s.Pods[service.Name]; ok {
			pods = append(pods, fmt.Sprintf("%s %d/%d", service.Name, p.Ready, p.Wanted))
		}
	}
	if len(pods) > 0 {
		line += "  pods " + strings.Join(pods, ", ")
	}
	return line
}
