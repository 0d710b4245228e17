package brokertest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Batch is a record batch to be built byte by byte, possibly invalid.
type Batch struct {
	// Records are encoded and compressed, unless Payload is set.
	Records []kmsg.Record
	Codec   kgo.CompressionCodec
	// Window, if not 0, compresses with zstd, in a frame that asks for a window of this
	// size in bytes.
	Window int
	// Payload replaces the encoded records. Count is the number of records that the
	// header claims.
	Payload []byte
	Count   int
	// At is the timestamp in milliseconds since 1970; now if it is 0. A client in Go
	// can't send one of a year after 2262.
	At int64
}

// Values returns records with these values.
func Values(values ...[]byte) []kmsg.Record {
	var records []kmsg.Record
	for _, v := range values {
		records = append(records, kmsg.Record{Value: v})
	}
	return records
}

// Bytes returns the encoded batch with a correct checksum.
func (b Batch) Bytes(t testing.TB) []byte {
	t.Helper()
	payload, count := b.Payload, b.Count
	kind := int16(0)
	if payload == nil {
		count = len(b.Records)
		for i, r := range b.Records {
			r.OffsetDelta = int32(i)
			// Everything but the length itself, which is 0 here and takes one byte.
			r.Length = int32(len(r.AppendTo(nil)) - 1)
			payload = r.AppendTo(payload)
		}
		switch {
		case b.Window > 0:
			payload, kind = zstdFrame(t, payload, b.Window), codecOf(kgo.ZstdCompression())
		case b.Codec != kgo.NoCompression():
			compressor, err := kgo.DefaultCompressor(b.Codec)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			compressed, used := compressor.Compress(&out, payload)
			payload, kind = bytes.Clone(compressed), int16(used)
		}
	} else {
		kind = codecOf(b.Codec)
	}
	batch := kmsg.NewRecordBatch()
	batch.PartitionLeaderEpoch, batch.Magic = -1, 2
	batch.Attributes = kind
	batch.NumRecords, batch.LastOffsetDelta = int32(count), int32(count)-1
	batch.FirstTimestamp = b.At
	if b.At == 0 {
		batch.FirstTimestamp = time.Now().UnixMilli()
	}
	batch.MaxTimestamp = batch.FirstTimestamp
	batch.ProducerID, batch.ProducerEpoch, batch.FirstSequence = -1, -1, -1
	batch.Records, batch.Length = payload, int32(49+len(payload))
	return Seal(batch.AppendTo(nil))
}

func zstdFrame(t testing.TB, payload []byte, window int) []byte {
	t.Helper()
	var frame bytes.Buffer
	w, err := zstd.NewWriter(&frame, zstd.WithWindowSize(window))
	if err != nil {
		t.Fatal(err)
	}
	_, writeErr := w.Write(payload)
	flushErr := w.Flush() // without it, the header has the size of the data in place of a window
	if err := errors.Join(writeErr, flushErr, w.Close()); err != nil {
		t.Fatal(err)
	}
	return frame.Bytes()
}

// Seal sets a batch's checksum to that of its content.
func Seal(raw []byte) []byte {
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

func codecOf(c kgo.CompressionCodec) int16 {
	for i, known := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		if c == known {
			return int16(i)
		}
	}
	return 0
}

// ProduceRaw appends a batch to a partition as it is, and returns its offset.
func (k *Kafka) ProduceRaw(t testing.TB, topic string, partition int32, raw []byte) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	details, err := k.admin.Metadata(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	detail := details.Topics[topic]
	request := kmsg.NewPtrProduceRequest()
	request.Acks, request.TimeoutMillis = -1, 10_000
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition, part.Records = partition, raw
	asked := kmsg.NewProduceRequestTopic()
	asked.Topic, asked.TopicID, asked.Partitions = topic, detail.ID, append(asked.Partitions, part)
	request.Topics = append(request.Topics, asked)
	answer, err := k.client.Broker(int(detail.Partitions[partition].Leader)).RetriableRequest(ctx, request)
	if err != nil {
		t.Fatalf("producing a batch to %q: %v", topic, err)
	}
	placed := answer.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(placed.ErrorCode); err != nil {
		t.Fatalf("producing a batch to %q: %v", topic, err)
	}
	return placed.BaseOffset
}
