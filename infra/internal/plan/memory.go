package plan

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/pod"
)

// A service's memory is shared out in halves: one is Go's heap, the other is what Go knows nothing of, above all the
// records that Kafka's client, which is C, holds before it hands them over.

const (
	// readerBuffers is what the client of one of api's readers may hold: a fetch of 8 MiB and a queue of 16 MiB.
	readerBuffers = 24 << 20

	// readingCopies is how often a record may be in api's heap: as read, as text, and in an answer that grows by
	// doubling.
	readingCopies = 5

	// restOfHeap is what a service takes when it does nothing.
	restOfHeap = 16 << 20

	// mostReaders is as many as read at once with any use: the next one has half a CPU to share.
	mostReaders = 4
)

// allocators returns what the two allocators of a process read.
func allocators(memory resource.Quantity) []pod.Env {
	return []pod.Env{
		// Go collects its garbage before the container's limit is met, and not after.
		pod.Value("GOMEMLIMIT", fmt.Sprintf("%dMiB", memory.Value()/2>>20)),
		// The C library keeps what is freed in as many places as the nodes have cores, times eight.
		pod.Value("MALLOC_ARENA_MAX", "2"),
	}
}

// reading bounds what api reads at once, so that no number of requests for large records gets it killed.
func reading(memory resource.Quantity) []pod.Env {
	half := memory.Value() / 2
	readers := max(1, min(mostReaders, half/readerBuffers))
	bytes := max(1, (half-restOfHeap)/readingCopies/readers)
	return []pod.Env{
		pod.Value("READ_CONCURRENCY", strconv.FormatInt(readers, 10)),
		pod.Value("READ_BYTES_LIMIT", strconv.FormatInt(bytes, 10)),
	}
}
