// Package load puts a load of purchases on a running platform, and judges what autoscalers and services make of it: how
// many pods when, how soon a backlog is gone, and that no acknowledged purchase is lost or doubled. The expectations come from
// package capacity, as the autoscalers' targets do.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Options is one load.
type Options struct {
	Shop, API Endpoint
	Phases    []Phase
	Group     string    // that stores the purchases
	Services  []Service // whose pods are watched; one with Max 0 is not scaled
	Pods      func(ctx context.Context) (map[string]Pods, error)
	Plot      string // file for the plot, in HTML
	Out       io.Writer
}

var (
	// ErrFailed is returned if a check has failed.
	ErrFailed = errors.New("the load test has failed")

	// ErrInterrupted is returned if the load was ended before its time. What was measured until then has been printed.
	ErrInterrupted = errors.New("interrupted: what wasn't measured is not judged")
)

// grace is how long the purchases under way may take after an interrupt.
const grace = 5 * time.Second

type run struct {
	Options
	*sender
	api    client
	origin time.Time

	mu      sync.Mutex
	rec     Recording
	current string // the phase
}

// Run sends the load, prints progress and verdict, and writes the plot.
func Run(ctx context.Context, o Options) error {
	origin := time.Now()
	r := &run{Options: o, origin: origin, api: newClient(o.API, 4),
		sender: newSender(newClient(o.Shop, connections), strconv.FormatInt(origin.UnixMilli(), 36), len(o.Phases))}
	r.rec.Services = o.Services
	if _, err := r.shop.get(ctx, "/openapi.yaml", nil); err != nil {
		return fmt.Errorf("no shop answers at %s: start one with make run, or make up: %w", o.Shop.URL, err)
	}
	if _, err := r.api.lag(ctx, o.Group); err != nil {
		r.say("WARNING: the lag is not judged: %v", err)
	}
	r.announce()
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		r.watch(watching)
	}()
	r.perform(ctx)
	stop()
	<-watched
	r.finish(ctx)
	return r.report(ctx)
}

func (r *run) say(format string, args ...any) { fmt.Fprintf(r.Out, format+"\n", args...) }

// announce states what is expected, before anything is sent.
func (r *run) announce() {
	j := judge{Recording: &r.rec}
	r.say("Load on %s", r.Shop.URL)
	for _, p := range r.Phases {
		line := fmt.Sprintf("  %-8s %6.0f/s for %s", p.Name, p.Rate, p.For)
		if s := j.storing(); s != nil && j.scaled() && p.Rate > 0 {
			line += fmt.Sprintf(", %d pods of %s keep up", s.Model.Pods(p.Rate, 0), s.Name)
		}
		r.say("%s", line)
	}
}

// perform sends phase after phase.
func (r *run) perform(ctx context.Context) {
	for i, p := range r.Phases {
		start := time.Since(r.origin)
		r.mu.Lock()
		r.current = p.Name
		r.mu.Unlock()
		if p.Rate > 0 {
			r.send(ctx, i, p, r.origin)
		} else {
			r.rest(ctx, p, start)
		}
		r.mu.Lock()
		r.rec.Phases = append(r.rec.Phases, Measured{Phase: p, Start: start, End: time.Since(r.origin), Cut: ctx.Err() != nil})
		r.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
	}
}

// rest waits in a quiet phase until everything has calmed down, and no longer than the model says.
func (r *run) rest(ctx context.Context, p Phase, start time.Duration) {
	j := judge{Recording: &r.rec}
	for calm := 0; calm < 3 && ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		r.mu.Lock()
		bound, quiet := p.For, true
		samples := r.rec.within(start, time.Since(r.origin))
		for _, sample := range samples {
			for _, s := range r.rec.Services {
				if r.rec.scaled() {
					bound = max(bound, shrinkTime(s, sample.Pods[s.Name].Wanted))
				}
			}
		}
		if len(samples) > 0 {
			last := samples[len(samples)-1]
			if s := j.storing(); s != nil && samples[0].Lag > 0 {
				bound = max(bound, drainTime(s, int(samples[0].Lag), samples[0].Pods[s.Name].Ready))
			}
			quiet = last.Lag == 0
			for _, s := range r.rec.Services {
				quiet = quiet && (!r.rec.scaled() || last.Pods[s.Name].Wanted == s.Min)
			}
		}
		r.mu.Unlock()
		if calm++; !quiet || len(samples) == 0 {
			calm = 0
		}
		if time.Since(r.origin)-start > bound+sampling {
			return
		}
	}
}

// finish waits for the answers that are due, and audits unless the load was interrupted.
func (r *run) finish(ctx context.Context) {
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		r.waiting.Wait()
	}()
	bound := requestTimeout + grace
	if ctx.Err() != nil {
		bound = grace
	}
	select {
	case <-answered:
	case <-time.After(bound):
	}
	if ctx.Err() == nil {
		r.say("Looking up every purchase")
		r.rec.Audit = r.audit(ctx)
	}
	if ctx.Err() != nil {
		r.rec.Audit = Audit{} // purchases that weren't looked up are not lost
	}
	r.sender.mu.Lock()
	defer r.sender.mu.Unlock()
	for i := range r.rec.Phases {
		r.rec.Phases[i].Tally = r.tally[i]
	}
}

// report prints the verdict and writes the plot.
func (r *run) report(ctx context.Context) error {
	checks := Judge(&r.rec)
	var failed int
	phase := "-"
	for _, c := range checks {
		if c.Phase != phase {
			phase = c.Phase
			if r.say(""); phase == "" {
				r.say("all of it")
			} else {
				r.say("%s", phase)
			}
		}
		r.say("  %-10s %s", c.Outcome, c.Text)
		if c.Outcome == Failed {
			failed++
		}
	}
	err := os.MkdirAll(filepath.Dir(r.Plot), 0o755)
	if err == nil {
		err = writePlot(r.Plot, &r.rec, checks)
	}
	if err != nil {
		err = fmt.Errorf("writing the plot: %w", err)
	} else {
		r.say("\nThe plot: %s", r.Plot)
	}
	switch {
	case ctx.Err() != nil:
		return errors.Join(ErrInterrupted, err)
	case failed > 0:
		return errors.Join(fmt.Errorf("%w: %d of %d checks", ErrFailed, failed, len(checks)), err)
	}
	return err
}

// ExitStatus is 0 if all checks have passed, 130 if the load was interrupted, else 1.
func ExitStatus(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrInterrupted):
		return 130
	}
	return 1
}
