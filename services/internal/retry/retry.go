// Package retry spaces attempts at what may yet succeed.
package retry

import (
	"context"
	"math/rand/v2"
	"time"
)

// Sleep waits for d. It reports false when ctx ended before.
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

// Backoff doubles the wait with each attempt that fails, from First to Last.
type Backoff struct{ First, Last time.Duration }

// After returns how long to wait after the attempt of this number; the first
// has number 1. Up to half of the wait is random, so that those who failed
// together don't come back together.
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
