package main

import (
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/event"
	"shopstream/services/internal/kafkax"
)

// newest returns the newest total of each key, as a reader of the topic sees it: of those
// that belong to the current topic, the one with the most orders.
func (w *world) newest(t testing.TB) map[string]event.Total {
	t.Helper()
	w.AwaitDecided(t, w.totals)
	newest, today := map[string]event.Total{}, w.topicID(t, w.totals)
	for _, r := range w.Read(t, w.totals) {
		total, err := event.DecodeTotal(r.Value)
		if err != nil || string(total.Key()) != string(r.Key) {
			continue
		}
		if key := string(r.Key); total.Orders > newest[key].Orders && total.TotalsTopicID == today {
			newest[key] = total
		}
	}
	return newest
}

// wantTotals waits until the totals are the sum of these orders.
func (w *world) wantTotals(t testing.TB, orders ...[]*kgo.Record) {
	t.Helper()
	want := map[string]sum{}
	for _, records := range orders {
		for _, r := range records {
			o, err := event.DecodeOrder(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			s := want[o.Product]
			want[o.Product] = sum{quantity: s.quantity + o.Quantity, orders: s.orders + 1}
		}
	}
	var got map[string]sum
	defer func() {
		if t.Failed() {
			t.Logf("totals %v, want %v", got, want)
		}
	}()
	await(t, "the totals are the sum of all orders", func() bool {
		got = map[string]sum{}
		for _, total := range w.newest(t) {
			s := got[total.Product]
			got[total.Product] = sum{quantity: s.quantity + total.Quantity, orders: s.orders + total.Orders}
		}
		return maps.Equal(got, want)
	})
}

func (w *world) topicID(t testing.TB, topic string) string {
	t.Helper()
	topics, err := w.Admin().ListTopics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	id := topics[topic].ID
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// produceSlowly produces orders a few at a time, each acknowledged, while the service
// notices the change.
func (w *world) produceSlowly(t testing.TB, records []*kgo.Record) {
	t.Helper()
	for len(records) > 0 {
		n := min(10, len(records))
		w.Produce(t, records[:n]...)
		records = records[n:]
	}
}

// changes returns how many changes of a topic's log were noticed.
func (i *instance) changes(t testing.TB, topic, kind string) float64 {
	t.Helper()
	return i.metric(t, "kafka_log_changes_total", fmt.Sprintf("kind=%q", kind), fmt.Sprintf("topic=%q", topic))
}

func TestARecreatedOrdersTopicIsAddedToTheTotals(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"shorter than before": 60, "longer than before": 900} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3)
			before, after, more := w.some(0, 300), w.some(300, size), w.some(5000, 50)
			i := w.start(t, "a")
			w.Produce(t, before...)
			w.awaitDone(t)

			w.RecreateTopic(t, w.orders, 3, nil)
			w.produceSlowly(t, after)
			w.wantTotals(t, before, after)
			await(t, "each change is counted", func() bool { return i.changes(t, w.orders, kafkax.LogRecreated) == 3 })
			i.stopped(t)

			// What is committed now is valid after a restart.
			i = w.start(t, "a")
			w.Produce(t, more...)
			w.wantTotals(t, before, after, more)
			if got := i.metric(t, "orders_already_counted_total"); got != 0 {
				t.Errorf("%v orders were read again", got)
			}
			if got := i.changes(t, w.orders, kafkax.LogRecreated); got != 0 {
				t.Errorf("the same change was reported again, %v times", got)
			}
		})
	}
}

// The service was stopped while the topic was recreated.
func TestAnOrdersTopicRecreatedMeanwhileIsAddedToTheTotals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	before, after := w.some(0, 100), w.some(100, 400)
	w.Produce(t, before...)
	w.start(t, "a").stoppedAfter(t, w)
	w.RecreateTopic(t, w.orders, 2, nil)
	w.Produce(t, after...)
	i := w.start(t, "a")
	w.wantTotals(t, before, after)
	await(t, "it is counted", func() bool { return i.changes(t, w.orders, kafkax.LogRecreated) == 2 })
	if !strings.Contains(i.out.String(), `"why":"recreated"`) {
		t.Error("the change is missing from the log")
	}
}

// The embedded broker, unlike real ones, rejects a producer whose records it no longer has
// for good: the process is then restarted, as on Kubernetes.
func TestATotalsTopicRecreatedWhileItRunsIsCountedAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	before, after := w.some(0, 200), w.some(200, 100)
	w.Produce(t, before...)
	i := w.start(t, "a")
	w.check(t)
	w.RecreateTopic(t, w.totals, 3, map[string]string{"cleanup.policy": "compact"})
	w.produceSlowly(t, after)
	if w.Embedded != nil {
		if err := i.end(t); err == nil || !strings.Contains(err.Error(), "sequence desynchronization") {
			t.Errorf("err = %v", err)
		}
		i = w.start(t, "a")
	}
	w.wantCountedAnew(t, i, before, after)
}

func TestATotalsTopicRecreatedMeanwhileIsCountedAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	before, after := w.some(0, 200), w.some(200, 100)
	w.Produce(t, before...)
	w.start(t, "a").stoppedAfter(t, w)
	w.RecreateTopic(t, w.totals, 3, map[string]string{"cleanup.policy": "compact"})
	i := w.start(t, "a")
	w.produceSlowly(t, after)
	w.wantCountedAnew(t, i, before, after)
}

func (w *world) wantCountedAnew(t testing.TB, i *instance, before, after []*kgo.Record) {
	t.Helper()
	w.wantTotals(t, before, after)
	await(t, "it is counted", func() bool { return i.changes(t, w.totals, kafkax.LogRecreated) > 0 })
	if !strings.Contains(i.out.String(), "the totals topic was recreated") {
		t.Error("the change is missing from the log")
	}
	i.stopped(t)

	more := w.some(300, 50)
	w.Produce(t, more...)
	i = w.start(t, "a")
	w.wantTotals(t, before, after, more)
	if got := i.metric(t, "orders_counted_total"); got != 50 {
		t.Errorf("%v orders are counted in the next life, want 50", got)
	}
}

func TestALogCutBackIsNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	if w.Embedded == nil {
		t.Skip("makes the embedded broker report the end of an epoch")
	}
	orders := w.some(0, 100)
	w.Produce(t, orders...)
	w.start(t, "a").stoppedAfter(t, w)
	w.Embedded.Cluster.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.Embedded.Cluster.KeepControl()
		response := r.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		topic := kmsg.NewOffsetForLeaderEpochResponseTopic()
		topic.Topic = w.orders
		partition := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
		partition.EndOffset = 60
		topic.Partitions = append(topic.Partitions, partition)
		response.Topics = append(response.Topics, topic)
		return response, nil, true
	})
	i := w.start(t, "a")
	await(t, "it is counted", func() bool { return i.changes(t, w.orders, kafkax.LogCutBack) == 1 })
	// Those that still exist were counted before.
	await(t, "they are read again", func() bool { return i.metric(t, "orders_already_counted_total") == 40 })
	more := w.some(100, 50)
	w.Produce(t, more...)
	w.wantTotals(t, orders, more)
}

func TestAnOffsetBehindTheEndIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	orders := w.some(0, 100)
	w.Produce(t, orders...)
	offsets := kadm.Offsets{}
	offsets.AddOffset(w.orders, 0, 1000, -1)
	if err := w.Admin().CommitAllOffsets(t.Context(), w.group, offsets); err != nil {
		t.Fatal(err)
	}
	i := w.start(t, "a")
	w.wantTotals(t, orders)
	if got := i.changes(t, w.orders, kafkax.LogCutBack); got != 1 {
		t.Errorf("%v changes are counted, want 1", got)
	}
}
