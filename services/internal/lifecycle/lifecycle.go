// Package lifecycle runs the long-lived parts of a service, and stops them one
// after the other in an order that loses no work.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/oklog/run"
)

// Actor is one long-lived part: an HTTP server, a consumer loop, a producer.
type Actor struct {
	// Name appears in logs and errors.
	Name string
	// Run works until ctx ends or the part fails. It returns nil when it was
	// asked to stop, and ErrFinished when it has nothing left to do, which ends
	// the service without an error. To return nil at any other time is a fault.
	Run func(ctx context.Context) error
	// Stop, if not nil, is called before Run's context is cancelled, to close a
	// listener gracefully for example. Its context carries the bound.
	Stop func(ctx context.Context)
	// Grace is time that this actor may take beyond the bound of every step.
	Grace time.Duration
}

// ErrFinished is returned by an actor whose work has an end.
var ErrFinished = errors.New("finished")

// ErrUnexpected is wrapped by the error of an actor that stopped without being asked to
// and without saying why.
var ErrUnexpected = errors.New("stopped unexpectedly")

// ErrStopTimeout is wrapped by the error of an actor that did not stop in time.
var ErrStopTimeout = errors.New("did not stop in time")

// Run starts all actors. When ctx ends or any actor returns, it stops them in
// the order given, each only after the one before it has finished, each within
// bound; then it returns the first actor's error, or nil if ctx ended or the actor has
// finished.
func Run(ctx context.Context, log *slog.Logger, bound time.Duration, actors ...Actor) error {
	var group run.Group

	// The first in the group, whose interrupt only ends the wait: it runs before any
	// actor is stopped.
	wait, cancelWait := context.WithCancel(ctx)
	group.Add(func() error {
		<-wait.Done()
		return nil
	}, func(error) { cancelWait() })

	var stuck []error // appended by the interrupts, one after the other
	for _, a := range actors {
		// Not derived from ctx: the actor ends when its turn comes, not when
		// the signal arrives.
		actx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan struct{})
		abandoned := make(chan struct{})
		var result error

		group.Add(func() error {
			go func() {
				defer close(done)
				result = a.Run(actx)
			}()
			select {
			case <-done:
				switch {
				case errors.Is(result, ErrFinished):
					return nil
				case result != nil:
					return fmt.Errorf("%s: %w", a.Name, result)
				case ctx.Err() == nil: // or another actor has ended: the group then ignores this error
					return fmt.Errorf("%s: %w", a.Name, ErrUnexpected)
				}
				return nil
			case <-abandoned:
				return nil
			}
		}, func(error) {
			defer cancel()
			start := time.Now()
			stopCtx, release := context.WithTimeout(context.WithoutCancel(ctx), a.Grace+bound)
			defer release()
			if a.Stop != nil {
				a.Stop(stopCtx)
			}
			cancel()
			select {
			case <-done:
				log.Debug("stopped", "actor", a.Name, "took", time.Since(start))
			case <-stopCtx.Done():
				log.Error("actor did not stop in time", "actor", a.Name, "bound", a.Grace+bound)
				stuck = append(stuck, fmt.Errorf("%s: %w", a.Name, ErrStopTimeout))
				close(abandoned)
			}
		})
	}

	if err := group.Run(); err != nil {
		return errors.Join(append([]error{err}, stuck...)...)
	}
	return errors.Join(stuck...)
}
