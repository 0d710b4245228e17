package kafkax

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/semaphore"
)

// Limits bound the decompressed size of a batch, in bytes.
type Limits struct {
	// Record is the most that one record may take in memory, its headers included.
	// A larger record is skipped.
	Record int
	// Batch is the most that a batch may decompress to. It bounds time, not memory:
	// skipped records are not kept.
	Batch int64
	// Blocks bounds the memory of all codecs that share it, in bytes. A batch for which
	// there is no room yet is read later; nil stands for no bound.
	Blocks *semaphore.Weighted
}

// NewBlocks returns a bound for Limits that has room for one block of any size.
func NewBlocks(bytes int64) *semaphore.Weighted {
	return semaphore.NewWeighted(max(bytes, largestBlock))
}

// headerCost is the memory that a header takes in addition to its bytes.
const headerCost = 64

// Records reads a batch's records one by one.
type Records struct {
	batch  Batch
	limits Limits
	raw    *io.LimitedReader // decompressed data, up to the limit
	in     *bufio.Reader
	zstd   *zstd.Decoder
	block  int64 // bytes acquired of limits.Blocks
	left   int32 // records
	next   int64 // the lowest offset that the next one can have
	from   int64 // earlier records are passed over
	ended  bool
}

// Records starts reading. If Next is not called until io.EOF, Close must be called.
func (b Batch) Records(limits Limits) *Records {
	return &Records{batch: b, limits: limits, left: b.header.NumRecords, next: b.First}
}

// From passes over the records before an offset: of a batch that is read for its last
// records, the others needn't be kept in memory, nor be well-formed.
func (r *Records) From(offset int64) { r.from = offset }

// Close frees the resources of the reading.
func (r *Records) Close() {
	if r.zstd != nil {
		r.zstd.Close()
		r.zstd = nil
	}
	if r.block > 0 {
		r.limits.Blocks.Release(r.block)
		r.block = 0
	}
	r.ended, r.in, r.raw = true, nil, nil
}

// Next returns the next record, io.EOF at the end, or an *Unreadable for skipped
// records, after which reading continues. While there is no room in Limits.Blocks, it
// returns errBusy.
func (r *Records) Next() (*kafka.Message, error) {
	for !r.ended && r.left > 0 && r.next <= r.batch.Last {
		if r.in == nil {
			if !r.acquire() {
				return nil, errBusy
			}
			source, err := r.inflate()
			if err != nil {
				return nil, r.end(err)
			}
			r.raw = &io.LimitedReader{R: source, N: r.limits.Batch}
			r.in = bufio.NewReaderSize(r.raw, 16<<10)
		}
		r.left--
		length, err := binary.ReadVarint(r.in)
		switch {
		case err != nil:
			return nil, r.end(err)
		case length < 0:
			return nil, r.end(fmt.Errorf("%w: a record of %d bytes", errFormat, length))
		case length > int64(r.limits.Record):
			return nil, r.passOver(length)
		}
		if r.next < r.from {
			switch earlier, err := r.discard(length); {
			case err != nil:
				return nil, r.end(err)
			case earlier:
				continue
			}
		}
		return r.read(length)
	}
	r.Close()
	return nil, io.EOF
}

// read reads a record of a length.
func (r *Records) read(length int64) (*kafka.Message, error) {
	data := make([]byte, length)
	if _, err := io.ReadFull(r.in, data); err != nil {
		return nil, r.end(err)
	}
	m, err := r.parse(data)
	if err == nil {
		return m, nil
	}
	var large *Unreadable
	if !errors.As(err, &large) {
		err = r.end(err)
	}
	return nil, err
}

// acquire reports whether there is room for what the codec keeps in memory.
func (r *Records) acquire() bool {
	if r.limits.Blocks == nil {
		return true
	}
	size := blockOf(r.batch.header.Attributes&codecBits, r.batch.header.Records)
	if size <= smallBlock {
		return true
	}
	if !r.limits.Blocks.TryAcquire(size) {
		return false
	}
	r.block = size
	return true
}

var (
	errBusy   = errors.New("no room to decompress a batch now")
	errFormat = errors.New("not a record")
	errSize   = errors.New("too large")
)

// end skips the rest of the batch.
func (r *Records) end(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // records are missing
	}
	u := r.unreadable(r.next, r.batch.Last, CauseCodec, err)
	switch {
	case r.raw != nil && r.raw.N <= 0:
		u.Cause, u.Err = CauseSize, fmt.Errorf("%w: the batch of %d bytes decompresses to more than %d", errSize, len(r.batch.Raw), r.limits.Batch)
	case errors.Is(err, errSize), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		u.Cause = CauseSize
	case errors.Is(err, errFormat), r.batch.header.Attributes&codecBits == 0:
		u.Cause = CauseFormat
	}
	r.Close()
	return u
}

func (r *Records) unreadable(first, last int64, cause string, err error) *Unreadable {
	return &Unreadable{Topic: r.batch.Topic, Partition: r.batch.Partition, First: first, Last: last, Cause: cause, Err: err, Raw: r.batch.Raw}
}

// passOver skips a record that is too large, without keeping it in memory.
func (r *Records) passOver(length int64) error {
	body := &io.LimitedReader{R: r.in, N: length}
	head := bufio.NewReaderSize(body, 32)
	_, err := head.ReadByte() // attributes
	if err == nil {
		_, err = binary.ReadVarint(head) // time
	}
	var delta int64
	if err == nil {
		delta, err = binary.ReadVarint(head)
	}
	if err == nil {
		err = r.advance(delta)
	}
	if err != nil {
		return r.end(err)
	}
	if _, err := io.Copy(io.Discard, head); err != nil {
		return r.end(err)
	}
	if body.N > 0 {
		r.next-- // this record is lost too
		return r.end(io.ErrUnexpectedEOF)
	}
	at := r.next - 1
	return r.unreadable(at, at, CauseSize, fmt.Errorf("%w: a record of %d bytes, the limit is %d", errSize, length, r.limits.Record))
}

// discard passes over a record if it is an earlier one.
func (r *Records) discard(length int64) (earlier bool, err error) {
	head, err := r.in.Peek(int(min(length, 1+2*binary.MaxVarintLen64)))
	if err != nil {
		return false, err
	}
	f := fields{data: head}
	f.skip(1) // attributes
	f.varint()
	delta := f.varint()
	if f.bad || r.batch.First+delta >= r.from {
		return false, nil
	}
	if err := r.advance(delta); err != nil {
		return false, err
	}
	if _, err := r.in.Discard(int(length)); err != nil {
		r.next-- // this record is lost too
		return false, err
	}
	return true, nil
}

// advance moves to a record's offset, given relative to the batch's first.
func (r *Records) advance(delta int64) error {
	at := r.batch.First + delta
	if at < r.next || at > r.batch.Last {
		return fmt.Errorf("%w: offset %d between %d and %d", errFormat, at, r.next, r.batch.Last)
	}
	r.next = at + 1
	return nil
}

// parse reads a record from its bytes. The message refers to them.
func (r *Records) parse(data []byte) (*kafka.Message, error) {
	f := fields{data: data}
	f.skip(1) // attributes
	since, delta := f.varint(), f.varint()
	key, value := f.bytes(), f.bytes()
	count := f.varint()
	if f.bad || count < 0 || count > int64(len(f.data)/2) {
		return nil, fmt.Errorf("%w: its %d bytes have another length than its fields", errFormat, len(data))
	}
	if err := r.advance(delta); err != nil {
		return nil, err
	}
	at := r.next - 1
	if cost := int64(len(data)) + count*headerCost; cost > int64(r.limits.Record) {
		return nil, r.unreadable(at, at, CauseSize, fmt.Errorf("%w: %d headers", errSize, count))
	}
	var headers []kafka.Header
	if count > 0 {
		headers = make([]kafka.Header, 0, count)
	}
	for range count {
		name := f.bytes()
		headers = append(headers, kafka.Header{Key: string(name), Value: f.bytes()})
	}
	if f.bad {
		r.next--
		return nil, fmt.Errorf("%w: its headers are malformed", errFormat)
	}
	m := &kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &r.batch.Topic, Partition: r.batch.Partition, Offset: kafka.Offset(at), LeaderEpoch: &r.batch.LeaderEpoch},
		Key:            key, Value: value, Headers: headers,
		Timestamp: time.UnixMilli(r.batch.header.FirstTimestamp + since), TimestampType: kafka.TimestampCreateTime,
	}
	if r.batch.header.Attributes&logAppendTime != 0 {
		m.Timestamp, m.TimestampType = time.UnixMilli(r.batch.header.MaxTimestamp), kafka.TimestampLogAppendTime
	}
	return m, nil
}

// fields reads the fields of a record.
type fields struct {
	data []byte
	bad  bool
}

func (f *fields) skip(n int) []byte {
	if n < 0 || n > len(f.data) {
		f.bad, f.data = true, nil
		return nil
	}
	taken := f.data[:n:n]
	f.data = f.data[n:]
	return taken
}

func (f *fields) varint() int64 {
	v, n := binary.Varint(f.data)
	if n <= 0 {
		f.bad, f.data = true, nil
		return 0
	}
	f.data = f.data[n:]
	return v
}

// bytes returns nil for null, which differs from an empty value.
func (f *fields) bytes() []byte {
	n := f.varint()
	if n == -1 {
		return nil
	}
	if n < 0 || n > int64(len(f.data)) {
		f.bad, f.data = true, nil
		return nil
	}
	return f.skip(int(n))
}

// inflate returns a reader of the batch's decompressed records.
func (r *Records) inflate() (io.Reader, error) {
	data := r.batch.header.Records
	codec := r.batch.header.Attributes & codecBits
	if codec == codecZstd {
		window := uint64(largestBlock)
		if r.limits.Blocks != nil {
			window = uint64(max(r.block, smallBlock)) // a second frame can't take more either
		}
		decoder, err := zstd.NewReader(bytes.NewReader(narrow(data)), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window))
		r.zstd = decoder
		return decoder, err
	}
	return inflate(codec, data)
}
