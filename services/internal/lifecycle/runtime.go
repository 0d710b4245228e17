package lifecycle

import (
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// growth is how much the heap may grow between two collections, in percent of what is in use. A service has a few megabytes in
// use, and with Go's default of 100 collects them dozens of times a second under load: a sixth of web-server's CPU, a fifth of
// management-api's (docs/performance.md). In a pod GOMEMLIMIT bounds the heap all the same.
const growth = 400

// TuneRuntime sets up Go's runtime for a service with a Kafka client, unless GOGC or GOMAXPROCS says otherwise.
//
// The client waits in C for its next event, and one of Go's processors (GOMAXPROCS) waits with it until the runtime notices,
// after up to 10 ms. On two processors that left one for everything else; so there is one more.
func TuneRuntime(environ []string) {
	given := func(name string) bool {
		return slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, name+"=") })
	}
	if !given("GOGC") {
		debug.SetGCPercent(growth)
	}
	if !given("GOMAXPROCS") {
		runtime.SetDefaultGOMAXPROCS() // so that a second call, as in tests, adds none
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}
