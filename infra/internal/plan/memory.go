package plan

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/pod"
)

// Half of a service's memory is for Go's heap. The other half is for memory outside of it, above all the records that
// Kafka's client, a C library, buffers.

const (
	// readerBuffers is what the Kafka client of one of api's readers may buffer: a fetch of 8 MiB and a queue of 16 MiB.
	readerBuffers = 24 << 20

	// readingCopies is how many copies of a record may be in api's heap: as read, as text, and in a response buffer that
	// grows by doubling.
	readingCopies = 5

	// restOfHeap is the heap of an idle service.
	restOfHeap = 16 << 20

	// mostReaders is how many readers at once are of any use on half a CPU.
	mostReaders = 4
)

// allocators returns the settings of the two memory allocators of a process, Go's and the C library's.
func allocators(memory resource.Quantity) []pod.Env {
	return []pod.Env{
		// Go collects garbage before the container's limit is reached.
		pod.Value("GOMEMLIMIT", fmt.Sprintf("%dMiB", memory.Value()/2>>20)),
		// By default the C library keeps freed memory in eight arenas per core of the node.
		pod.Value("MALLOC_ARENA_MAX", "2"),
	}
}

// reading limits what api reads at once, so that no number of requests for large records exceeds its memory.
func reading(memory resource.Quantity) []pod.Env {
	half := memory.Value() / 2
	readers := max(1, min(mostReaders, half/readerBuffers))
	bytes := max(1, (half-restOfHeap)/readingCopies/readers)
	return []pod.Env{
		pod.Value("READ_CONCURRENCY", strconv.FormatInt(readers, 10)),
		pod.Value("READ_BYTES_LIMIT", strconv.FormatInt(bytes, 10)),
	}
}
