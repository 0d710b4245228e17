package kafkax

import "time"

const (
	// fetchBytes is how much of a partition is fetched at a time. The first
	// batch of an answer comes whatever its size.
	fetchBytes = 256 << 10
	// mostBuffered is ReaderConfig.Buffer where it isn't set.
	mostBuffered = 8 << 20
)

// partition is what a Reader knows of one. Its lock guards it; the position is
// changed by the goroutine that polls alone. Where the log has changed, another
// partition takes its place, so that an answer to an earlier question is void.
type partition struct {
	number int32
	at     Position // of the next record to hand out
	next   int64    // the next to fetch; negative until all that was fetched is read
	chunks []chunk
	bytes  int // in the chunks
	// want is how many bytes a fetch asks for. alone says that nothing else may
	// be asked for with it, since only the first batch of an answer comes whole.
	want  int32
	alone bool

	checked     bool  // whether at belongs to the log of today
	outOfRange  bool  // whether the broker has nothing at next
	leader      int32 // -1 while there is none
	leaderEpoch int32
	replica     int32 // to read from in place of the leader, or -1
	asked       bool  // whether a fetch is under way
	notBefore   time.Time

	start, end int64 // of the log, as last heard; negative before
	done       int64 // before it, all is finished

	fault error
	since time.Time // of the fault
}

// unmet is the leader's epoch before any broker has told one.
const unmet = -2

func newPartition(number int32, at Position) *partition {
	return &partition{
		number: number, at: at, next: -1, want: fetchBytes, done: at.Offset,
		leader: -1, leaderEpoch: unmet, replica: -1, start: -1, end: -1,
	}
}

func (p *partition) pass(next int64) { p.at.Offset = max(p.at.Offset, next) }

// chunk is the batches of one answer.
type chunk struct {
	data    []byte
	aborted []abortedTransaction // by their first offset
	pending map[int64]bool       // producers whose transaction is being taken back
}

type abortedTransaction struct{ producer, first int64 }

// skips reports whether a batch holds no records that count.
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

// walk returns how much of an answer is whole batches, and the offset behind
// them: -1 where a header makes no sense, and reading has to find out.
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
