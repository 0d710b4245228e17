// Package retry waits between the attempts of an operation that may yet succeed.
package retry

import (
	"context"
	"math/rand/v2"
	"time"
)

// Sleep waits for d. It returns false if ctx ended before.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Backoff doubles the wait with each failed attempt, from First to Last.
type Backoff struct{ First, Last time.Duration }

// After returns how long to wait after a failed attempt; the first has number 1. Up to
// half of the wait is random, so that clients that failed together don't retry
// together.
func (b Backoff) After(attempt int) time.Duration {
	wait := b.First
	for range attempt - 1 {
		if wait *= 2; wait >= b.Last {
			wait = b.Last
			break
		}
	}
	return wait - rand.N(wait/2+1)
}
