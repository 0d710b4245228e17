package kafkax

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Codecs of a batch.
const (
	codecNone = iota
	codecGzip
	codecSnappy
	codecLZ4
	codecZstd
)

// largestBlock bounds what a codec keeps in memory at a time, in bytes. It is the
// window size of zstd's usual levels.
const largestBlock = 8 << 20

// smallBlock is what a codec may keep in memory without being counted.
const smallBlock = 256 << 10

// blockOf returns how much of the decompressed data a codec keeps in memory at a time,
// as the data claims, and at most largestBlock: more is refused.
func blockOf(codec int16, data []byte) int64 {
	var size uint64
	switch codec {
	case codecSnappy:
		size = snappyBlock(data)
	case codecLZ4:
		if len(data) > 5 {
			size = 1 << (8 + 2*(data[5]>>4&7)) // 64 KiB to 4 MiB
		}
	case codecZstd:
		var header zstd.Header
		switch err := header.Decode(narrow(data)); {
		case err != nil, header.Skippable:
			size = largestBlock // what follows isn't known
		case header.SingleSegment:
			size = header.FrameContentSize
		default:
			size = header.WindowSize // however short the data
		}
	}
	return int64(min(size, largestBlock))
}

// snappyBlock returns the size of the largest block.
func snappyBlock(data []byte) (largest uint64) {
	rest, framed := bytes.CutPrefix(data, xerial)
	if !framed || len(rest) < 8 {
		size, _ := s2.DecodedLen(data)
		return uint64(max(0, size))
	}
	for rest = rest[8:]; len(rest) >= 4; {
		length := uint64(binary.BigEndian.Uint32(rest))
		if rest = rest[4:]; length > uint64(len(rest)) {
			break
		}
		size, _ := s2.DecodedLen(rest[:length])
		largest, rest = max(largest, uint64(max(0, size))), rest[length:]
	}
	return largest
}

// narrow lowers the window in the header of a zstd frame to largestBlock, which the
// decoder would allocate. Levels above 19 set up to 128 MiB, however short the data. Data
// that really refers back farther can't be decompressed.
func narrow(frame []byte) []byte {
	const (
		singleSegment = 0x20    // the header has no window, but the size of the data
		widest        = 13 << 3 // 1<<(10+13) bytes
	)
	if !bytes.HasPrefix(frame, []byte("\x28\xb5\x2f\xfd")) || len(frame) < 6 || frame[4]&singleSegment != 0 || frame[5] <= widest {
		return frame
	}
	narrowed := bytes.Clone(frame)
	narrowed[5] = widest
	return narrowed
}

// inflate returns a reader of the decompressed data.
func inflate(codec int16, data []byte) (io.Reader, error) {
	switch codec {
	case codecNone:
		return bytes.NewReader(data), nil
	case codecGzip:
		return gzip.NewReader(bytes.NewReader(data))
	case codecLZ4:
		return lz4.NewReader(bytes.NewReader(data)), nil
	case codecSnappy:
		if rest, ok := bytes.CutPrefix(data, xerial); ok && len(rest) >= 8 {
			return &xerialReader{data: rest[8:]}, nil // skips two version numbers
		}
		block, err := unsnap(data)
		return bytes.NewReader(block), err
	}
	return nil, fmt.Errorf("codec %d is unknown", codec)
}

// xerial starts the framing of Java's Snappy streams: blocks, each preceded by its
// length.
var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

type xerialReader struct{ data, block []byte }

func (x *xerialReader) Read(p []byte) (int, error) {
	for len(x.block) == 0 {
		if len(x.data) == 0 {
			return 0, io.EOF
		}
		if len(x.data) < 4 {
			return 0, io.ErrUnexpectedEOF
		}
		size := uint64(binary.BigEndian.Uint32(x.data))
		if size > uint64(len(x.data)-4) {
			return 0, io.ErrUnexpectedEOF
		}
		block, err := unsnap(x.data[4 : 4+size])
		if err != nil {
			return 0, err
		}
		x.data, x.block = x.data[4+size:], block
	}
	n := copy(p, x.block)
	x.block = x.block[n:]
	return n, nil
}

// unsnap decompresses one block, which starts with its size.
func unsnap(data []byte) ([]byte, error) {
	size, err := s2.DecodedLen(data)
	if err != nil {
		return nil, fmt.Errorf("reading the size of a Snappy block: %w", err)
	}
	if size > largestBlock {
		return nil, fmt.Errorf("%w: a Snappy block of %d bytes", errSize, size)
	}
	return s2.Decode(nil, data)
}
