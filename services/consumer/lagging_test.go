package main

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/testkit/brokertest"
)

// If the consumer trusted a lagging broker, it would count again from the beginning of
// orders that are no longer kept.
func TestALaggingBrokerTakesNoTotalsBack(t *testing.T) {
	t.Parallel()
	k := brokertest.StartCluster(t, 3)
	if k.Embedded == nil {
		t.Skip("only an embedded broker can be told to lag behind")
	}
	compacted := map[string]string{"cleanup.policy": "compact"}
	w := &world{
		Kafka:   k,
		orders:  k.Topic(t, "orders", 1, nil),
		letters: k.Topic(t, "orders.dlq", 1, nil),
		totals:  k.Topic(t, "product-totals", 1, compacted),
		group:   brokertest.Unique("consumer-service-group"),
	}
	k.LedByTheFirst(t, w.orders, w.totals)
	known := k.Knowledge(t, w.orders, w.totals)
	k.RecreateTopic(t, w.orders, 1, nil)
	k.RecreateTopic(t, w.totals, 1, compacted)
	k.LedByTheFirst(t, w.orders, w.totals)
	before, after := w.some(0, 100), w.some(100, 50)
	w.Produce(t, before...)
	w.start(t, "a").stoppedAfter(t, w)
	expired := kadm.Offsets{}
	expired.AddOffset(w.orders, 0, 80, -1)
	if _, err := w.Admin().DeleteRecords(t.Context(), expired); err != nil {
		t.Fatal(err)
	}

	lagging, release := k.LagBehind(t, known)
	i := w.start(t, "a", "KAFKA_BOOTSTRAP_SERVERS="+lagging)
	await(t, "its partitions", func() bool { return i.out.Find("partitions assigned") != nil })
	release()
	w.Produce(t, after...)
	w.wantTotals(t, before, after)
	if got := i.metric(t, "orders_already_counted_total"); got != 0 {
		t.Errorf("%v orders were read again", got)
	}
	for _, topic := range []string{w.orders, w.totals} {
		if got := i.changes(t, topic, kafkax.LogRecreated); got != 0 {
			t.Errorf("%s is found recreated %v times, though nothing changed", topic, got)
		}
	}
}
