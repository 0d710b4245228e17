package retry_test

import (
	"context"
	"testing"
	"time"

	"shopstream/services/internal/retry"
)

func TestBackoffDoublesUpToItsLast(t *testing.T) {
	b := retry.Backoff{First: 100 * time.Millisecond, Last: time.Second}
	for attempt, want := range map[int]time.Duration{
		1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 4: 800 * time.Millisecond, 5: time.Second, 1 << 40: time.Second,
	} {
		waits := map[time.Duration]bool{}
		for range 100 {
			wait := b.After(attempt)
			if wait < want/2 || wait > want {
				t.Fatalf("after attempt %d: %s, want %s to %s", attempt, wait, want/2, want)
			}
			waits[wait] = true
		}
		if len(waits) < 2 {
			t.Errorf("after attempt %d every wait is the same", attempt)
		}
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	if !retry.Sleep(t.Context(), time.Millisecond) {
		t.Error("Sleep reported an interruption without one")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if retry.Sleep(ctx, time.Hour) {
		t.Error("Sleep reported success although its context had ended")
	}
}
