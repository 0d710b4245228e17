package kafkax

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
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
