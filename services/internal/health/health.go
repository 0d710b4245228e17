// Package health holds the state of a service: alive, ready or draining, and
// which of its dependencies answer.
//
// Dependencies are probed in the background. A readiness request only reads
// the result, so a burst of probes costs a dependency nothing and a hanging
// dependency never hangs the probe.
package health

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

const (
	interval = 2 * time.Second
	timeout  = 2 * time.Second
	// One failed probe is tolerated: a broker restart or the election of a new
	// primary must not take every replica out of service.
	tolerated = 1
)

// ErrLost is wrapped by the error of a probe whose client will never get an answer again:
// only a restart of the service fixes that.
var ErrLost = errors.New("lost")

// Check probes one dependency.
type Check struct {
	// Name is the dependency's key in the readiness answer, such as "kafka".
	Name string
	// Optional dependencies are reported, but the service is ready without them.
	Optional bool
	// Probe returns nil when the dependency answers. It must respect ctx.
	Probe func(ctx context.Context) error
}

// Health is the state of one service. Safe for concurrent use.
type Health struct {
	checks []Check
	up     *prometheus.GaugeVec

	mu       sync.Mutex
	states   map[string]string // by check name: "up", or why it is down
	failures map[string]int
	draining chan struct{} // closed by Drain
	drain    func()
}

// New returns a Health whose dependencies count as down until first probed.
func New(reg prometheus.Registerer, checks ...Check) *Health {
	h := &Health{
		checks:   checks,
		states:   map[string]string{},
		failures: map[string]int{},
		draining: make(chan struct{}),
		up: promauto.With(reg).NewGaugeVec(prometheus.GaugeOpts{
			Name: "dependency_up",
			Help: "1 while the dependency answers, else 0.",
		}, []string{"dependency"}),
	}
	h.drain = sync.OnceFunc(func() { close(h.draining) })
	for _, c := range checks {
		h.states[c.Name] = "down: not probed yet"
		h.up.WithLabelValues(c.Name).Set(0)
	}
	return h
}

// Run probes the dependencies until ctx ends, or until one is lost: then it returns that
// probe's error, so that the service ends.
func (h *Health) Run(ctx context.Context) error {
	ctx, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	var wg sync.WaitGroup
	for _, c := range h.checks {
		wg.Go(func() {
			tick := time.NewTicker(interval)
			defer tick.Stop()
			for ctx.Err() == nil { // select may choose a due tick although ctx has ended
				if err := h.probe(ctx, c); errors.Is(err, ErrLost) {
					lose(fmt.Errorf("probing %s: %w", c.Name, err))
				}
				select {
				case <-ctx.Done():
				case <-tick.C:
				}
			}
		})
	}
	wg.Wait()
	<-ctx.Done()
	if cause := context.Cause(ctx); errors.Is(cause, ErrLost) {
		return cause
	}
	return nil
}

func (h *Health) probe(ctx context.Context, c Check) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := c.Probe(ctx)

	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		h.failures[c.Name] = 0
		h.states[c.Name] = "up"
		h.up.WithLabelValues(c.Name).Set(1)
		return nil
	}
	h.failures[c.Name]++
	if h.states[c.Name] == "up" && h.failures[c.Name] <= tolerated {
		return err
	}
	h.states[c.Name] = "down: " + err.Error()
	h.up.WithLabelValues(c.Name).Set(0)
	return err
}

// Drain makes the service unready for good: it is about to stop.
func (h *Health) Drain() { h.drain() }

// Draining is closed once the service is about to stop, so that requests that don't end
// by themselves, such as event streams, end then.
func (h *Health) Draining() <-chan struct{} { return h.draining }

// Ready reports whether the service should get traffic, a word for that
// state, and each dependency's state.
func (h *Health) Ready() (ready bool, status string, dependencies map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	dependencies = maps.Clone(h.states)
	select {
	case <-h.draining:
		return false, "draining", dependencies
	default:
	}
	for _, c := range h.checks {
		if !c.Optional && h.states[c.Name] != "up" {
			return false, "not ready", dependencies
		}
	}
	return true, "ready", dependencies
}
