package kafkax_test

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/testkit/brokertest"
)

// What isn't polled stays within the buffer, for any number of partitions.
func TestAReaderThatIsNotPolledStopsFetching(t *testing.T) {
	k := brokertest.Start(t)
	if k.Embedded == nil {
		t.Skip("counts the embedded broker's requests")
	}
	const partitions = 40
	topic := k.Topic(t, "unread", partitions, nil)
	for range partitions {
		k.Produce(t, &kgo.Record{Topic: topic, Value: bytes.Repeat([]byte("x"), 100_000)})
	}
	var fetches atomic.Int32
	k.Embedded.Cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.Embedded.Cluster.KeepControl()
		fetches.Add(1)
		return nil, nil, false
	})
	r := newReader(t, k, kafkax.ReaderConfig{Topic: topic, Buffer: 300_000})
	all := map[int32]kafkax.Position{}
	for p := range int32(partitions) {
		all[p] = kafkax.Position{LeaderEpoch: -1}
	}
	r.Assign(all)
	for deadline := time.Now().Add(20 * time.Second); fetches.Load() == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it doesn't fetch")
		}
	}
	// Each fetch returns 300 kB at most. Empty partitions are fetched again twice a
	// second; without the wait it would be a hundred times.
	time.Sleep(2 * time.Second)
	if n := fetches.Load(); n > 10 {
		t.Errorf("%d fetches with a buffer of 300 kB", n)
	}
	seen := map[string]bool{}
	for range partitions {
		seen[nextValue(t, r).TopicPartition.String()] = true
	}
	if len(seen) != partitions {
		t.Errorf("%d records come of %d", len(seen), partitions)
	}
}

// While records keep coming, a group's fetch waits for some more of them, so that a broker doesn't answer one for each
// record. After a pause the first record comes at once.
func TestAGroupsFetchGathersRecordsWhileTheyKeepComing(t *testing.T) {
	k := brokertest.Start(t)
	if k.Embedded == nil {
		t.Skip("looks at the embedded broker's requests")
	}
	topic := k.Topic(t, "steady", 1, nil)
	atLeast := make(chan int32, 1000)
	k.Embedded.Cluster.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.Embedded.Cluster.KeepControl()
		atLeast <- r.(*kmsg.FetchRequest).MinBytes
		return nil, nil, false
	})
	r := newReader(t, k, kafkax.ReaderConfig{Topic: topic, Grouped: true})
	r.Assign(map[int32]kafkax.Position{0: {LeaderEpoch: -1}})
	if bytes := <-atLeast; bytes != 1 {
		t.Errorf("the first fetch waits for %d bytes", bytes)
	}
	k.Produce(t, values(topic, 0, 0, 1)...)
	nextValue(t, r)
	if bytes := <-atLeast; bytes < 1000 {
		t.Errorf("after a fetch with a record, the next one waits for %d bytes only", bytes)
	}
	if bytes := <-atLeast; bytes != 1 {
		t.Errorf("after a fetch without records, the next one waits for %d bytes", bytes)
	}
}
