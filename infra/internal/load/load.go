// Package load is a load test: it sends purchases to a running platform, and checks how autoscalers and services react: the
// number of pods, the time to drain a backlog, and that no acknowledged purchase is lost or stored twice. The expected values
// come from package capacity, like the autoscalers' targets.
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

	"shopstream/infra/internal/endpoint"
)

// Options describes a load test.
type Options struct {
	Shop, API endpoint.Endpoint
	Phases    []Phase
	Group     string    // the consumer group that stores the purchases
	Services  []Service // those whose pods are watched; one with Max 0 is not scaled
	Pods      func(ctx context.Context) (map[string]Pods, error)
	Plot      string // the file for the plot, in HTML
	Out       io.Writer
}

var (
	// ErrFailed is returned if a check has failed.
	ErrFailed = errors.New("the load test has failed")

	// ErrInterrupted is returned if the load test was interrupted. What was measured until then has been printed.
	ErrInterrupted = errors.New("interrupted: the rest was not judged")
)

// grace is how long the purchases in flight may take after an interrupt.
const grace = 5 * time.Second

type run struct {
	Options
	*sender
	api    client
	origin time.Time

	mu      sync.Mutex
	rec     Recording
	current string // name of the phase
	unknown string // why the last sample has no lag
}

// Run sends the load, prints the progress and the results, and writes the plot.
func Run(ctx context.Context, o Options) error {
	origin := time.Now()
	r := &run{Options: o, origin: origin, api: newClient(o.API, 4),
		sender: newSender(newClient(o.Shop, connections), strconv.FormatInt(origin.UnixMilli(), 36), len(o.Phases))}
	r.rec.Services = o.Services
	if _, err := r.shop.Get(ctx, "/openapi.yaml"); err != nil {
		return fmt.Errorf("no shop answers at %s: start one with make run, or make up: %w", o.Shop.URL, err)
	}
	if _, err := r.api.lag(ctx, o.Group); err != nil {
		r.say("WARNING: the lag will not be judged: %v", err)
	}
	r.announce()
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		r.watch(watching)
	}()
	r.runPhases(ctx)
	stop()
	<-watched
	r.finish(ctx)
	return r.report(ctx)
}

func (r *run) say(format string, args ...any) { fmt.Fprintf(r.Out, format+"\n", args...) }

// announce prints what is expected, before anything is sent.
func (r *run) announce() {
	j := judge{Recording: &r.rec}
	r.say("Load on %s", r.Shop.URL)
	for _, p := range r.Phases {
		line := fmt.Sprintf("  %-8s %6.0f/s for %s", p.Name, p.Rate, p.For)
		if j.scaled() && p.Rate > 0 {
			line += j.enough(p.Rate)
		}
		r.say("%s", line)
	}
}

// runPhases runs one phase after the other.
func (r *run) runPhases(ctx context.Context) {
	for i, p := range r.Phases {
		start := time.Since(r.origin)
		r.mu.Lock()
		r.current = p.Name
		r.mu.Unlock()
		if p.Rate > 0 {
			r.send(ctx, i, p, r.origin)
		} else {
			r.settle(ctx, p, start)
		}
		r.mu.Lock()
		r.rec.Phases = append(r.rec.Phases, Measured{Phase: p, Start: start, End: time.Since(r.origin), Interrupted: ctx.Err() != nil})
		r.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
	}
}

// settle waits in a quiet phase until lag and pods are back to normal, but no longer than the model allows.
func (r *run) settle(ctx context.Context, p Phase, start time.Duration) {
	j := judge{Recording: &r.rec}
	for quietSamples := 0; quietSamples < 3 && ctx.Err() == nil; {
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
			if s := j.store(); s != nil && samples[0].Lag > 0 {
				bound = max(bound, drainTime(s, int(samples[0].Lag), samples[0].Pods[s.Name].Ready))
			}
			quiet = last.Lag == 0
			for _, s := range r.rec.Services {
				quiet = quiet && (!r.rec.scaled() || last.Pods[s.Name].Wanted == s.Min)
			}
		}
		r.mu.Unlock()
		if quietSamples++; !quiet || len(samples) == 0 {
			quietSamples = 0
		}
		if time.Since(r.origin)-start > bound+sampling {
			return
		}
	}
}

// finish waits for outstanding answers, and audits unless the load test is interrupted.
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

// report prints the results and writes the plot.
func (r *run) report(ctx context.Context) error {
	checks := Judge(&r.rec)
	var failed int
	phase := "-"
	for _, c := range checks {
		if c.Phase != phase {
			phase = c.Phase
			if r.say(""); phase == "" {
				r.say("overall")
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

// ExitStatus is 0 if all checks have passed, 130 if the load test was interrupted, and 1 otherwise.
func ExitStatus(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrInterrupted):
		return 130
	}
	return 1
}
