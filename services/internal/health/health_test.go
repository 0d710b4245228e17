package health_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shopstream/services/internal/health"
)

func TestReadinessFollowsTheDependencies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		h := health.New(prometheus.NewRegistry(),
			health.Check{Name: "kafka", Probe: func(context.Context) error {
				if broken.Load() {
					return errors.New("no broker answers")
				}
				return nil
			}},
			health.Check{Name: "management-api", Optional: true, Probe: func(context.Context) error { return errors.New("refused") }},
		)
		expect := func(ready bool, status, kafka string) {
			t.Helper()
			gotReady, gotStatus, states := h.Ready()
			if gotReady != ready || gotStatus != status || !strings.HasPrefix(states["kafka"], kafka) {
				t.Errorf("ready=%t status=%q states=%v, want %t %q kafka %q", gotReady, gotStatus, states, ready, status, kafka)
			}
		}
		expect(false, "not ready", "down: not probed yet")

		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = h.Run(ctx) }()
		defer func() { cancel(); <-done }()
		synctest.Wait()
		expect(true, "ready", "up") // an optional dependency that is down does not count

		broken.Store(true)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		expect(true, "ready", "up") // one miss is forgiven
		time.Sleep(2 * time.Second)
		synctest.Wait()
		expect(false, "not ready", "down: no broker answers")

		broken.Store(false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		expect(true, "ready", "up")

		h.Drain()
		expect(false, "draining", "up")
		<-h.Draining()
	})
}

// Only a restart gives the service another client.
func TestAServiceEndsWhoseDependencyIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lost atomic.Bool
		h := health.New(prometheus.NewRegistry(), health.Check{Name: "kafka", Probe: func(context.Context) error {
			if lost.Load() {
				return fmt.Errorf("%w: a new client is answered", health.ErrLost)
			}
			return errors.New("no broker answers")
		}})
		done := make(chan error, 1)
		go func() { done <- h.Run(t.Context()) }()
		time.Sleep(time.Hour)
		select {
		case err := <-done:
			t.Fatalf("it ends because a dependency is down: %v", err)
		default:
		}
		lost.Store(true)
		if err := <-done; !errors.Is(err, health.ErrLost) || !strings.Contains(err.Error(), "kafka") {
			t.Errorf("it ends with %v", err)
		}
	})
}
