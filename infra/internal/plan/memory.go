package plan

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/pod"
)

// Half of a service's memory is for Go's heap. The other half is for memory outside of it, above all for the records that
// Kafka's client, a C library, buffers.

const (
	// readingCopies is how many copies of a record may be in api's heap: in a broker's response, as read, as text, twice
	// in a JSON buffer that grows by doubling, and in a response that its client is still reading. Readers hold no
	// memory outside of Go's heap.
	readingCopies = 6

	// leastRead is how many bytes one request should be able to read: a few of the largest records that brokers accept. If
	// the memory doesn't suffice for two such readers, there is one.
	leastRead = 4 << 20

	// restOfHeap is the heap of an idle service.
	restOfHeap = 16 << 20

	// mostReaders is the number of simultaneous readers beyond which half a CPU does no more.
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
	share := (memory.Value()/2 - restOfHeap) / readingCopies
	readers := max(1, min(mostReaders, share/leastRead))
	bytes := max(1, share/readers)
	return []pod.Env{
		pod.Value("READ_CONCURRENCY", strconv.FormatInt(readers, 10)),
		pod.Value("READ_BYTES_LIMIT", strconv.FormatInt(bytes, 10)),
	}
}
