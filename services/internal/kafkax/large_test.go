package kafkax_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/testkit/brokertest"
)

// A broker returns a batch whole, however little is asked for. Readers that share a Turn
// hold one large batch at a time, and small ones don't wait for it, whoever reads them.
func TestLargeBatchesAreReadInTurn(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "large", 3, map[string]string{"max.message.bytes": "20000000"})
	large := brokertest.Batch{Records: brokertest.Values([]byte("first"), bytes.Repeat([]byte("x"), 3_000_000), []byte("last"))}.Bytes(t)
	k.ProduceRaw(t, topic, 1, large)
	turn := kafkax.NewTurn()
	from := func(partitions ...int32) *kafkax.Reader {
		r := newReader(t, k, kafkax.ReaderConfig{Topic: topic, Limits: kafkax.Limits{Record: 4 << 20, Batch: 8 << 20}, Buffer: 1 << 18, Turn: turn})
		at := map[int32]kafkax.Position{}
		for _, p := range partitions {
			at[p] = kafkax.Beginning()
		}
		r.Assign(at)
		return r
	}
	first, second := from(0, 1, 2), from(0, 1, 2)
	holder, waiter := first, second
	var begun any
	for begun == nil {
		if begun = first.Poll(10 * time.Millisecond); begun == nil {
			if begun = second.Poll(10 * time.Millisecond); begun != nil {
				holder, waiter = second, first
			}
		}
	}
	if e := waiter.Poll(500 * time.Millisecond); e != nil {
		t.Fatalf("both have a large batch: %v", e)
	}
	k.Produce(t, values(topic, 0, 0, 1)...)
	k.Produce(t, values(topic, 2, 1, 2)...)
	for _, r := range []*kafkax.Reader{waiter, from(0, 2)} {
		for range 2 {
			if m := nextValue(t, r); m.TopicPartition.Partition == 1 {
				t.Fatal("both have a large batch")
			}
		}
	}
	ofLarge := func(r *kafkax.Reader) string {
		for {
			if m := nextValue(t, r); m.TopicPartition.Partition == 1 {
				return string(m.Value)
			}
		}
	}
	ofLarge(holder)
	if s := ofLarge(holder); s != "last" {
		t.Errorf("the batch ends with %q", s)
	}
	var got []string
	for deadline := time.Now().Add(30 * time.Second); len(got) < 3 && time.Now().Before(deadline); {
		holder.Poll(0) // notices that its batch has ended
		if m, ok := waiter.Poll(10 * time.Millisecond).(*kafka.Message); ok && m.TopicPartition.Partition == 1 {
			got = append(got, fmt.Sprint(len(m.Value)))
		}
	}
	if s := strings.Join(got, " "); s != "5 3000000 4" {
		t.Errorf("then the other reads values of %s bytes", s)
	}
	// One that isn't read to its end is given up with its partition or Reader.
	waiter.Release()
	third := from(1)
	nextValue(t, third)
	third.Remove(1)
	nextValue(t, from(1))
}

// One that can't go on with its batch lets others read theirs, and loses and repeats nothing.
func TestAReaderYieldsWhatOthersWaitFor(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte("All work and no play makes Jack a dull boy. "), 20_000)
	records := brokertest.Values([]byte("first"), text, text, text, text, text, []byte("last"))
	for name, c := range map[string]struct {
		batch  brokertest.Batch
		config kafkax.ReaderConfig
	}{
		"the turn": {brokertest.Batch{Records: records}, kafkax.ReaderConfig{Buffer: 1 << 18, Turn: kafkax.NewTurn()}},
		"the room": {brokertest.Batch{Codec: kgo.SnappyCompression(), Records: records}, kafkax.ReaderConfig{
			Limits: kafkax.Limits{Record: limits.Record, Batch: limits.Batch, Blocks: kafkax.NewBlocks(0)}, // for one
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := brokertest.Start(t)
			c.config.Topic = k.Topic(t, "large", 1, map[string]string{"max.message.bytes": "20000000"})
			k.ProduceRaw(t, c.config.Topic, 0, c.batch.Bytes(t))
			start := func() *kafkax.Reader {
				r := newReader(t, k, c.config)
				r.Assign(map[int32]kafkax.Position{0: kafkax.Beginning()})
				return r
			}
			slow := start()
			for n := range len(records) {
				if m := nextValue(t, slow); int(m.TopicPartition.Offset) != n {
					t.Fatalf("%d comes after %d records", m.TopicPartition.Offset, n)
				}
				other := start()
				if e := other.Poll(300 * time.Millisecond); e != nil && n < len(records)-1 {
					t.Fatal("both read a batch at once")
				}
				slow.Yield()
				for n := range len(records) {
					if m := nextValue(t, other); int(m.TopicPartition.Offset) != n {
						t.Fatalf("the other gets %d after %d records", m.TopicPartition.Offset, n)
					}
				}
				if e := other.Poll(0); e != nil {
					t.Fatalf("the other gets %v after the last", e)
				}
			}
			if e := slow.Poll(300 * time.Millisecond); e != nil {
				t.Errorf("%v comes after the last", e)
			}
		})
	}
}

func TestABatchThatNoTurnAllowsIsTold(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "huge", 1, map[string]string{"max.message.bytes": "20000000"})
	k.Produce(t, values(topic, 0, 0, 1)...)
	at := k.ProduceRaw(t, topic, 0, brokertest.Batch{Records: brokertest.Values(bytes.Repeat([]byte("x"), 9<<20), bytes.Repeat([]byte("x"), 9<<20))}.Bytes(t))
	r := newReader(t, k, kafkax.ReaderConfig{Topic: topic, Turn: kafkax.NewTurn()})
	r.Assign(map[int32]kafkax.Position{0: kafkax.Beginning()})
	nextValue(t, r)
	for offset := at; offset < at+2; offset++ { // it has two
		u, ok := next(t, r).(*kafkax.Unreadable)
		if !ok || u.First != offset || u.Last != offset || u.Cause != kafkax.CauseSize {
			t.Fatalf("%+v, want offset %d to be too large", u, offset)
		}
	}
	k.Produce(t, values(topic, 0, 1, 2)...)
	if m, ok := next(t, r).(*kafka.Message); !ok || string(m.Value) != "1" {
		t.Errorf("then comes %v", m)
	}
}

// Nothing says where a batch ends that isn't read: little behind it is left out, however
// much there is.
func TestLittleIsLeftOutBesideABatchThatIsTooLarge(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "huge", 1, map[string]string{"max.message.bytes": "20000000"})
	k.ProduceRaw(t, topic, 0, brokertest.Batch{Records: brokertest.Values(bytes.Repeat([]byte("x"), 9<<20), bytes.Repeat([]byte("x"), 9<<20))}.Bytes(t))
	k.Produce(t, values(topic, 0, 0, 1000)...)
	r := newReader(t, k, kafkax.ReaderConfig{Topic: topic, Turn: kafkax.NewTurn()})
	r.Assign(map[int32]kafkax.Position{0: kafkax.Beginning()})
	for {
		switch e := next(t, r).(type) {
		case *kafkax.Unreadable:
		case *kafka.Message:
			// Of the thousand that follow the two, two at most may be missing.
			if e.TopicPartition.Offset > 4 {
				t.Errorf("reading goes on at offset %d", e.TopicPartition.Offset)
			}
			return
		}
	}
}
