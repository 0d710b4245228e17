package kafkax

import "time"

const (
	// fetchBytes is how much of a partition is fetched at a time. The first batch of
	// a response is complete whatever its size.
	fetchBytes = 256 << 10
	// mostBuffered is the default of ReaderConfig.Buffer, in bytes.
	mostBuffered = 8 << 20
)

// partition is a Reader's state of one partition, guarded by the Reader's lock. Only
// the polling goroutine changes the position. If the log has changed, a new
// partition takes its place, so that responses to earlier requests are ignored.
type partition struct {
	number int32
	at     Position // of the next record to return from Poll
	next   int64    // offset to fetch next; negative until everything fetched has been read
	chunks []chunk
	bytes  int // in the chunks
	// want is how many bytes a fetch requests. If alone is set, the request may name
	// no other partition, since only the first batch of a response is complete.
	want  int32
	alone bool
	// leftOut is how many offsets were left out by the last step, as part of a batch that is
	// too large; 0 if one was fetched since.
	leftOut int64

	checked     bool  // whether at belongs to the current log
	outOfRange  bool  // whether the log has no record at next
	leader      int32 // -1 if there is none
	leaderEpoch int32
	replica     int32 // to read from instead of the leader, or -1
	asked       bool  // whether a fetch is in flight
	notBefore   time.Time

	start, end int64 // of the log, as last reported; negative before
	done       int64 // everything before it is finished

	// old is what was fetched before the log changed. It may exist nowhere else, so it
	// is read to its end before the change is reported.
	old    *partition
	change *LogChange

	fault error
	since time.Time // of the fault
}

// unmet is the leader epoch before any broker has reported one.
const unmet = -2

func newPartition(number int32, at Position) *partition {
	return &partition{
		number: number, at: at, next: -1, want: fetchBytes, done: at.Offset,
		leader: -1, leaderEpoch: unmet, replica: -1, start: -1, end: -1,
	}
}

func (p *partition) pass(next int64) { p.at.Offset = max(p.at.Offset, next) }

// chunk holds the batches of one response.
type chunk struct {
	data    []byte
	aborted []abortedTransaction // by their first offset
	pending map[int64]bool       // producers whose current transaction is aborted
	large   bool                 // fetched in turn
	left    *Unreadable          // if not nil, the chunk stands for it
}

type abortedTransaction struct{ producer, first int64 }

// skips reports whether a batch has no records to return.
func (c *chunk) skips(b Batch, committed bool) bool {
	if !committed {
		return b.Control()
	}
	for len(c.aborted) > 0 && c.aborted[0].first <= b.Last {
		c.pending[c.aborted[0].producer] = true
		c.aborted = c.aborted[1:]
	}
	if b.Control() {
		if b.Aborts() {
			delete(c.pending, b.ProducerID)
		}
		return true
	}
	return b.Transactional() && c.pending[b.ProducerID]
}

// walk returns how many bytes of a response are complete batches, and the offset
// after them: -1 if a header is implausible, so that only reading can tell.
func walk(data []byte, next int64) (whole int, behind int64) {
	for rest := data; len(rest) > 0; {
		size := SizeOf(rest)
		if size < batchHeader && len(rest) >= batchHeader {
			return len(data), -1
		}
		if size == 0 || size > len(rest) {
			return whole, next
		}
		last, ok := lastOffset(rest)
		if !ok {
			return len(data), -1
		}
		next, whole, rest = max(next, last+1), whole+size, rest[size:]
	}
	return whole, next
}
