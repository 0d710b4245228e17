package kafkax_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/testkit/brokertest"
)

var limits = kafkax.Limits{Record: 1 << 20, Batch: 256 << 20}

func codecs() map[string]kgo.CompressionCodec {
	return map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
}

// readAll reads a batch to its end, and returns its values and what is unreadable.
func readAll(t *testing.T, raw []byte, limits kafkax.Limits) (values []string, left []*kafkax.Unreadable) {
	t.Helper()
	b, rest, err := kafkax.NextBatch("t", 3, raw)
	if err != nil || len(rest) > 0 {
		t.Fatalf("%d bytes are left: %v", len(rest), err)
	}
	records := b.Records(limits)
	for {
		m, err := records.Next()
		if errors.Is(err, io.EOF) {
			return values, left
		}
		var u *kafkax.Unreadable
		if errors.As(err, &u) {
			left = append(left, u)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, fmt.Sprintf("%d:%s", m.TopicPartition.Offset, m.Value))
	}
}

func TestABatchIsReadRecordByRecord(t *testing.T) {
	for name, codec := range codecs() {
		raw := brokertest.Batch{Codec: codec, Records: []kmsg.Record{
			{Key: []byte("k"), Value: bytes.Repeat([]byte("v"), 500), TimestampDelta64: 7, Headers: []kmsg.Header{{Key: "h", Value: []byte{}}, {Key: "n"}}},
			{Value: []byte{}}, {},
		}}.Bytes(t)
		binary.BigEndian.PutUint64(raw, 40) // as the broker does
		b, _, err := kafkax.NextBatch("t", 3, raw)
		if err != nil || b.First != 40 || b.Last != 42 {
			t.Fatalf("%s: offsets %d to %d: %v", name, b.First, b.Last, err)
		}
		records := b.Records(limits)
		m, err := records.Next()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if string(m.Key) != "k" || len(m.Value) != 500 || m.TopicPartition.Offset != 40 || m.TopicPartition.Partition != 3 || *m.TopicPartition.Topic != "t" {
			t.Errorf("%s: %v", name, m)
		}
		if want := []kafka.Header{{Key: "h", Value: []byte{}}, {Key: "n"}}; !reflect.DeepEqual(m.Headers, want) {
			t.Errorf("%s: headers %v", name, m.Headers)
		}
		empty, _ := records.Next()
		null, _ := records.Next()
		if empty.Value == nil || null.Value != nil || null.TopicPartition.Offset != 42 {
			t.Errorf("%s: an empty value is %v, none is %v", name, empty.Value, null.Value)
		}
		if _, err := records.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: it ends with %v", name, err)
		}
	}
}

func TestDamageIsTold(t *testing.T) {
	good := func(t *testing.T) []byte {
		return brokertest.Batch{Records: brokertest.Values([]byte("a"), []byte("b"))}.Bytes(t)
	}
	tests := map[string]struct {
		raw   func(t *testing.T) []byte
		cause string
		last  int64
		rest  bool // what follows it is found
	}{
		"a bit has changed": {func(t *testing.T) []byte { raw := good(t); raw[len(raw)-1] ^= 1; return raw }, "crc", 1, true},
		"its last offset is absurd": {func(t *testing.T) []byte {
			raw := good(t)
			binary.BigEndian.PutUint32(raw[23:], 1<<30)
			return brokertest.Seal(raw)
		}, "format", 0, true},
		"it ends before it begins": {func(t *testing.T) []byte {
			raw := good(t)
			binary.BigEndian.PutUint32(raw[23:], 1<<31)
			return brokertest.Seal(raw)
		}, "format", 0, true},
		"another format": {func(t *testing.T) []byte { raw := good(t); raw[16] = 1; return raw }, "format", 0, true},
		"a length of 5":  {func(t *testing.T) []byte { raw := good(t); binary.BigEndian.PutUint32(raw[8:], 5); return raw }, "format", 0, false},
	}
	for name, tt := range tests {
		_, rest, err := kafkax.NextBatch("t", 0, append(tt.raw(t), "what follows"...))
		var u *kafkax.Unreadable
		if !errors.As(err, &u) || u.Cause != tt.cause || u.First != 0 || u.Last != tt.last || (string(rest) == "what follows") != tt.rest {
			t.Errorf("%s: %v, then %q", name, err, rest)
		}
	}
	for size, raw := 0, good(t); size < len(raw); size++ {
		if _, _, err := kafkax.NextBatch("t", 0, raw[:size]); !errors.Is(err, kafkax.ErrShortBatch) {
			t.Fatalf("%d of %d bytes: %v", size, len(raw), err)
		}
	}
}

func TestWhatIsNoRecordsIsGivenUp(t *testing.T) {
	record := func(value string, delta int32) []byte {
		r := kmsg.Record{Value: []byte(value), OffsetDelta: delta}
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		return r.AppendTo(nil)
	}
	garbage := bytes.Repeat([]byte{0xfe, 0x13, 0x77}, 50)
	tests := map[string]struct {
		batch brokertest.Batch
		cause string
		first int64
	}{
		"gzip of nothing":          {brokertest.Batch{Codec: kgo.GzipCompression(), Payload: garbage, Count: 3}, "codec", 0},
		"snappy of nothing":        {brokertest.Batch{Codec: kgo.SnappyCompression(), Payload: garbage[1:], Count: 3}, "codec", 0},
		"lz4 of nothing":           {brokertest.Batch{Codec: kgo.Lz4Compression(), Payload: garbage, Count: 3}, "codec", 0},
		"zstd of nothing":          {brokertest.Batch{Codec: kgo.ZstdCompression(), Payload: garbage, Count: 3}, "codec", 0},
		"a snappy stream cut off":  {brokertest.Batch{Codec: kgo.SnappyCompression(), Payload: append([]byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"), 0, 0, 9, 9), Count: 3}, "codec", 0},
		"a snappy block of 4 GB":   {brokertest.Batch{Codec: kgo.SnappyCompression(), Payload: []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2}, Count: 3}, "size", 0},
		"no records at all":        {brokertest.Batch{Payload: garbage, Count: 3}, "format", 0},
		"less than it says":        {brokertest.Batch{Payload: record("a", 0), Count: 3}, "format", 1},
		"the same offset twice":    {brokertest.Batch{Payload: append(record("a", 1), record("b", 1)...), Count: 3}, "format", 2},
		"an offset beyond its end": {brokertest.Batch{Payload: append(record("a", 0), record("b", 9)...), Count: 3}, "format", 1},
		"a value beyond its end":   {brokertest.Batch{Payload: append(record("a", 0), 0x0c, 0, 0, 2, 1, 60, 1), Count: 3}, "format", 1},
	}
	for name, tt := range tests {
		_, left := readAll(t, tt.batch.Bytes(t), limits)
		if len(left) != 1 || left[0].Cause != tt.cause || left[0].First != tt.first || left[0].Last != 2 || left[0].Partition != 3 || len(left[0].Raw) == 0 {
			t.Errorf("%s: %v", name, left)
		}
	}
	// A compressed batch that is truncated, with a correct checksum. The end alone may be
	// no more than a checksum of the codec's own, without which all records can be read.
	for name, codec := range codecs() {
		values := brokertest.Values(bytes.Repeat([]byte("x"), 100), bytes.Repeat([]byte("y"), 50_000))
		raw := brokertest.Batch{Codec: codec, Records: values}.Bytes(t)
		raw = raw[:len(raw)-20]
		binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
		if _, left := readAll(t, brokertest.Seal(raw), limits); len(left) != 1 || left[0].Last != 1 {
			t.Errorf("%s cut off: %v", name, left)
		}
	}
}

// A small batch that decompresses to a large one takes the memory of one record.
func TestWhatInflatesIsPassedOver(t *testing.T) {
	bomb := bytes.Repeat([]byte("All work and no play makes Jack a dull boy. "), 150<<20/44)
	for name, codec := range map[string]kgo.CompressionCodec{"gzip": kgo.GzipCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()} {
		raw := brokertest.Batch{Codec: codec, Records: brokertest.Values([]byte("before"), bomb, []byte("behind"))}.Bytes(t)
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		values, left := readAll(t, raw, limits)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 24<<20 {
			t.Errorf("%s: %d bytes were allocated for a batch of %d", name, took, len(raw))
		}
		if got := strings.Join(values, " "); got != "0:before 2:behind" || len(left) != 1 || left[0].First != 1 || left[0].Last != 1 || left[0].Cause != "size" {
			t.Errorf("%s: %s, left out: %v", name, got, left)
		}
		// If even skipping takes too long, the rest is given up.
		values, left = readAll(t, raw, kafkax.Limits{Record: 1 << 20, Batch: 10 << 20})
		if len(values) != 1 || len(left) != 1 || left[0].First != 1 || left[0].Last != 2 || left[0].Cause != "size" {
			t.Errorf("%s, at most 10 MiB: %v, left out: %v", name, values, left)
		}
	}
}

func TestHeadersAreReckonedWithWhatTheyTake(t *testing.T) {
	headers := make([]kmsg.Header, 20_000)
	raw := brokertest.Batch{Codec: kgo.GzipCompression(), Records: []kmsg.Record{{Headers: headers}, {Value: []byte("next")}}}.Bytes(t)
	values, left := readAll(t, raw, limits)
	if len(values) != 1 || values[0] != "1:next" || len(left) != 1 || left[0].Cause != "size" || left[0].Last != 0 {
		t.Errorf("%v, left out: %v", values, left)
	}
}

// The highest levels of zstd ask for a large window, whatever the size of the data.
func TestAWideZstdWindowIsRead(t *testing.T) {
	for _, window := range []int{8 << 20, 16 << 20, 128 << 20} {
		raw := brokertest.Batch{Window: window, Records: brokertest.Values([]byte("value"))}.Bytes(t)
		if values, left := readAll(t, raw, limits); len(values) != 1 || values[0] != "0:value" || len(left) != 0 {
			t.Errorf("a window of %d MiB: %v, left out: %v", window>>20, values, left)
		}
	}
}

func TestABatchIsReadFromAnOffset(t *testing.T) {
	for name, codec := range codecs() {
		var all [][]byte
		for i := range 1000 {
			all = append(all, fmt.Appendf(nil, "value %d", i))
		}
		raw := brokertest.Batch{Codec: codec, Records: brokertest.Values(all...)}.Bytes(t)
		binary.BigEndian.PutUint64(raw, 5000) // as the broker does
		b, _, err := kafkax.NextBatch("t", 3, raw)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct{ from, first, count int64 }{{0, 5000, 1000}, {5000, 5000, 1000}, {5998, 5998, 2}, {6000, 0, 0}} {
			records := b.Records(limits)
			records.From(test.from)
			var values []string
			for {
				m, err := records.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, fmt.Sprintf("%d:%s", m.TopicPartition.Offset, m.Value))
			}
			if int64(len(values)) != test.count || test.count > 0 && values[0] != fmt.Sprintf("%d:value %d", test.first, test.first-5000) {
				t.Errorf("%s, from %d: %d records, %.1q…", name, test.from, len(values), values)
			}
		}
	}
}

// A reading from an offset finds what one of the whole batch finds there, and may find more: that
// one gives up at an earlier record that is malformed.
func FuzzBatchesFromAnOffset(f *testing.F) {
	for _, codec := range codecs() {
		f.Add(brokertest.Batch{Codec: codec, Records: brokertest.Values([]byte("a"), []byte("b"), []byte("c"))}.Bytes(f), int64(1))
	}
	f.Fuzz(func(t *testing.T, raw []byte, from int64) {
		if len(raw) > 61 {
			brokertest.Seal(raw)
		}
		b, _, err := kafkax.NextBatch("t", 0, raw)
		if err != nil {
			return
		}
		read := func(from int64) map[int64]string {
			records := b.Records(kafkax.Limits{Record: 1 << 16, Batch: 1 << 20})
			records.From(from)
			found := map[int64]string{}
			for {
				m, err := records.Next()
				var u *kafkax.Unreadable
				switch {
				case errors.Is(err, io.EOF):
					return found
				case errors.As(err, &u):
				case err != nil:
					t.Fatal(err)
				default:
					found[int64(m.TopicPartition.Offset)] = fmt.Sprintf("%q %q %v %v", m.Key, m.Value, m.Headers, m.Timestamp)
				}
			}
		}
		part := read(b.First + from)
		for at, want := range read(b.First) {
			if got := part[at]; at >= b.First+from && got != want {
				t.Errorf("offset %d is %q, in the whole batch %q", at, got, want)
			}
		}
		for at := range part {
			if at < b.First+from {
				t.Errorf("offset %d comes from %d on", at, b.First+from)
			}
		}
	})
}

func FuzzBatches(f *testing.F) {
	for _, codec := range codecs() {
		f.Add(brokertest.Batch{Codec: codec, Records: brokertest.Values([]byte("a"), []byte("b"))}.Bytes(f))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 61 {
			brokertest.Seal(raw)
		}
		b, _, err := kafkax.NextBatch("t", 0, raw)
		if err != nil {
			return
		}
		records, next := b.Records(kafkax.Limits{Record: 1 << 16, Batch: 1 << 20}), b.First
		for {
			m, err := records.Next()
			var u *kafkax.Unreadable
			switch {
			case errors.Is(err, io.EOF):
				return
			case errors.As(err, &u):
				if u.First < next || u.Last < u.First || u.Last > b.Last {
					t.Fatalf("%d to %d is left out of %d to %d", u.First, u.Last, next, b.Last)
				}
				next = u.Last + 1
			case err != nil:
				t.Fatal(err)
			default:
				if int64(m.TopicPartition.Offset) < next {
					t.Fatalf("offset %d comes after %d", m.TopicPartition.Offset, next-1)
				}
				next = int64(m.TopicPartition.Offset) + 1
			}
		}
	})
}
