package lifecycle_test

import (
	"runtime/debug"
	"testing"

	"shopstream/services/internal/lifecycle"
)

func TestTheHeapMayGrowFurtherUnlessGOGCSaysOtherwise(t *testing.T) {
	before := debug.SetGCPercent(50) // as if GOGC were 50
	defer debug.SetGCPercent(before)
	percent := func() int {
		now := debug.SetGCPercent(100)
		debug.SetGCPercent(now)
		return now
	}
	if lifecycle.CollectLess([]string{"GOGC=50"}); percent() != 50 {
		t.Errorf("with GOGC=50 it is %d", percent())
	}
	if lifecycle.CollectLess([]string{"HTTP_ADDR=:1"}); percent() <= 100 {
		t.Errorf("without GOGC it is %d, want more than Go's default", percent())
	}
}
