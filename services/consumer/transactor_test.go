package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"
)

// A call that never returns ends the process soon, and sooner after a stop.
func TestACallThatHangsIsGivenUp(t *testing.T) {
	forever := func(context.Context) error { select {} }
	for name, stopped := range map[string]bool{"at work": false, "after a stop": true} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			txn := &transactor{log: slog.New(slog.DiscardHandler), stuckAfter: 100 * time.Millisecond, stuck: make(chan struct{})}
			if stopped {
				txn.stuckAfter = time.Hour
				cancel()
			}
			if err := txn.attempt(ctx, "hanging", 0, forever); !errors.Is(err, errStuck) {
				t.Errorf("err = %v", err)
			}
			txn.stop(ctx) // must not wait for it either
		})
	}
}
