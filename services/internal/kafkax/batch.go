package kafkax

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Batch is a record batch as it is in the log and in a Fetch response: verified but
// not yet decompressed. To read all batches of a response:
//
//	for data := partition.RecordBatches; len(data) > 0; {
//		batch, rest, err := kafkax.NextBatch(topic, partition, data)
//		if errors.Is(err, kafkax.ErrShortBatch) {
//			break // cut off by the limit of the fetch: fetch again from its first offset
//		}
//		data = rest
//		// Any other error is an *Unreadable with the offsets that it affects.
//		records := batch.Records(kafkax.Limits{Record: 8 << 20, Batch: 256 << 20})
//		for {
//			message, err := records.Next() // io.EOF at the end; skip an *Unreadable
//		}
//	}
//
// Memory holds the compressed batch and one record at a time, whatever the batch
// decompresses to.
type Batch struct {
	Topic     string
	Partition int32
	// First and Last are the offsets that the batch covers. After compaction there
	// may be no records at them.
	First, Last int64
	// LeaderEpoch is that of the leader that appended the batch.
	LeaderEpoch int32
	// ProducerID is negative without an idempotent producer.
	ProducerID int64
	// Raw is the whole batch, header included.
	Raw []byte

	header kmsg.RecordBatch
}

// Bits of a batch's attributes.
const (
	codecBits     = 0x07
	logAppendTime = 0x08
	transactional = 0x10
	control       = 0x20
)

// Transactional reports whether the batch belongs to a transaction. Then a control
// record of the log says whether it was committed.
func (b Batch) Transactional() bool { return b.header.Attributes&transactional != 0 }

// Control reports whether the batch holds a transaction marker instead of records.
func (b Batch) Control() bool { return b.header.Attributes&control != 0 }

// ErrShortBatch is wrapped when data ends before the batch does.
var ErrShortBatch = errors.New("the batch is cut off")

// Unreadable is a range of offsets that can't be read, now or later.
type Unreadable struct {
	Topic     string
	Partition int32
	// First and Last are the first and last of these offsets.
	First, Last int64
	// Cause is what is wrong, one of "crc", "codec", "format" and "size".
	Cause string
	Err   error
	// Raw is the batch that contains them, as it is in the log.
	Raw []byte
	// Label is that of the position, if it comes from a Reader.
	Label string
}

// Causes of an Unreadable.
const (
	CauseCRC    = "crc"    // the checksum doesn't match the content
	CauseCodec  = "codec"  // unknown compression, or damaged compressed data
	CauseFormat = "format" // bytes that are not records
	CauseSize   = "size"   // more than the limits allow
)

func (u *Unreadable) Error() string {
	return fmt.Sprintf("offsets %d to %d of partition %d of %q can't be read (%s): %v", u.First, u.Last, u.Partition, u.Topic, u.Cause, u.Err)
}

func (u *Unreadable) Unwrap() error { return u.Err }

const (
	batchPrefix = 12 // first offset and length, which counts what follows it
	batchHeader = 61
	crcStart    = 21 // the checksum covers everything from here
	mostOffsets = 1 << 24
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// NextBatch returns the first batch of data and the rest. The error wraps
// ErrShortBatch if data ends too early; otherwise it is an *Unreadable, and rest is
// what follows the unreadable batch.
func NextBatch(topic string, partition int32, data []byte) (b Batch, rest []byte, err error) {
	if len(data) < batchHeader {
		return Batch{}, data, fmt.Errorf("%w: %d bytes hold no header", ErrShortBatch, len(data))
	}
	first, length := int64(binary.BigEndian.Uint64(data)), int(int32(binary.BigEndian.Uint32(data[8:])))
	u := &Unreadable{Topic: topic, Partition: partition, First: first, Last: first, Cause: CauseFormat, Raw: data}
	if length < batchHeader-batchPrefix {
		// Its end is unknown, so nothing after it can be found.
		u.Err = fmt.Errorf("a length of %d bytes is less than a header", length)
		return Batch{}, nil, u
	}
	size := batchPrefix + length
	if len(data) < size {
		return Batch{First: first}, data, fmt.Errorf("%w: %d of %d bytes", ErrShortBatch, len(data), size)
	}
	data, rest = data[:size:size], data[size:]
	u.Raw = data
	if magic := data[16]; magic != 2 {
		u.Err = fmt.Errorf("message format %d is not supported, only 2", magic)
		return Batch{}, rest, u
	}
	b = Batch{Topic: topic, Partition: partition, First: first, Raw: data}
	if err := b.header.ReadFrom(data); err != nil {
		u.Err = fmt.Errorf("reading the header: %w", err)
		return Batch{}, rest, u
	}
	// A damaged header doesn't say which offset is the last one.
	last, sane := lastOffset(data)
	b.Last = last
	b.LeaderEpoch, b.ProducerID = b.header.PartitionLeaderEpoch, b.header.ProducerID
	if sane {
		u.Last = b.Last
	}
	if sum := crc32.Checksum(data[crcStart:], castagnoli); sum != uint32(b.header.CRC) {
		u.Cause, u.Err = CauseCRC, fmt.Errorf("the checksum is %08x, but that of the content is %08x", uint32(b.header.CRC), sum)
		return Batch{}, rest, u
	}
	if !sane || b.header.NumRecords < 0 {
		u.Err = fmt.Errorf("the header claims %d records up to offset %d", b.header.NumRecords, b.Last)
		return Batch{}, rest, u
	}
	return b, rest, nil
}

// SizeOf returns the size of the first batch of data in bytes, or 0 if it is
// unknown.
func SizeOf(data []byte) int {
	if len(data) < batchPrefix {
		return 0
	}
	return batchPrefix + int(max(0, int32(binary.BigEndian.Uint32(data[8:]))))
}

// Aborts reports whether a control batch marks its producer's transaction as
// aborted.
func (b Batch) Aborts() bool {
	// A marker's key is a version and a type; type 0 means abort.
	records := b.Records(Limits{Record: 1 << 10, Batch: 1 << 12})
	defer records.Close()
	m, err := records.Next()
	return err == nil && len(m.Key) >= 4 && binary.BigEndian.Uint16(m.Key[2:]) == 0
}

// lastOffset returns the last offset of the first batch of data, if its header is
// plausible.
func lastOffset(data []byte) (last int64, ok bool) {
	first, delta := int64(binary.BigEndian.Uint64(data)), int32(binary.BigEndian.Uint32(data[23:]))
	sane := first >= 0 && first < math.MaxInt64-mostOffsets && delta >= 0 && delta < mostOffsets
	return first + int64(delta), sane && data[16] == 2
}
