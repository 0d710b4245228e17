package lifecycle

import (
	"runtime/debug"
	"slices"
	"strings"
)

// growth is how much the heap may grow between two collections, in percent of what is in use. A service has a few megabytes in
// use, and with Go's default of 100 collects them dozens of times a second under load: a sixth of web-server's CPU, a fifth of
// management-api's (docs/performance.md). In a pod GOMEMLIMIT bounds the heap all the same.
const growth = 400

// CollectLess lets the heap of this process grow further between collections than by default, unless GOGC says by how much.
func CollectLess(environ []string) {
	if !slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, "GOGC=") }) {
		debug.SetGCPercent(growth)
	}
}
