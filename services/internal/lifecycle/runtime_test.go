package lifecycle_test

import (
	"runtime"
	"runtime/debug"
	"testing"

	"shopstream/services/internal/lifecycle"
)

func TestTheRuntimeIsTunedUnlessTheEnvironmentSaysOtherwise(t *testing.T) {
	before, given := debug.SetGCPercent(50), runtime.GOMAXPROCS(0) // as if GOGC were 50
	defer func() { debug.SetGCPercent(before); runtime.GOMAXPROCS(given) }()
	runtime.SetDefaultGOMAXPROCS()
	processors := runtime.GOMAXPROCS(0)
	percent := func() int {
		now := debug.SetGCPercent(100)
		debug.SetGCPercent(now)
		return now
	}
	if lifecycle.TuneRuntime([]string{"GOGC=50", "GOMAXPROCS=7"}); percent() != 50 || runtime.GOMAXPROCS(0) != processors {
		t.Errorf("the environment is not heeded: GOGC %d, GOMAXPROCS %d", percent(), runtime.GOMAXPROCS(0))
	}
	for range 2 {
		lifecycle.TuneRuntime([]string{"HTTP_ADDR=:1"})
		if percent() <= 100 || runtime.GOMAXPROCS(0) != processors+1 {
			t.Errorf("GOGC %d, want more than Go's default; GOMAXPROCS %d, want %d", percent(), runtime.GOMAXPROCS(0), processors+1)
		}
	}
}
