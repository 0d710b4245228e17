package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/event"
	"shopstream/services/internal/testkit/brokertest"
	"shopstream/services/internal/testkit/logtest"
)

// TestMain turns the test binary into the service if the variable is set, so that a test
// can start it as a process and kill it.
func TestMain(m *testing.M) {
	if os.Getenv("CONSUMER_UNDER_TEST") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// world is a broker with topics and a group for one test.
type world struct {
	*brokertest.Kafka
	orders, letters, totals, group string
}

func newWorld(t testing.TB, partitions int32) *world {
	t.Helper()
	k := brokertest.Start(t)
	return &world{
		Kafka:   k,
		orders:  k.Topic(t, "orders", partitions, nil),
		letters: k.Topic(t, "orders.dlq", 3, nil),
		totals:  k.Topic(t, "product-totals", 3, map[string]string{"cleanup.policy": "compact"}),
		group:   brokertest.Unique("consumer-service-group"),
	}
}

// environ returns an instance's environment; instances differ by name.
func (w *world) environ(name string) []string {
	return []string{
		"KAFKA_BOOTSTRAP_SERVERS=" + w.BootstrapServers, "HTTP_ADDR=127.0.0.1:0", "LOG_LEVEL=debug",
		"ORDERS_TOPIC=" + w.orders, "ORDERS_DLQ_TOPIC=" + w.letters, "TOTALS_TOPIC=" + w.totals,
		"GROUP_ID=" + w.group, "TRANSACTIONAL_ID=" + w.group + "-" + name,
		"BATCH_LINGER=10ms",
	}
}

// instance is the service, running in this process.
type instance struct {
	out  *logtest.Lines
	url  string
	stop context.CancelFunc
	done chan struct{}
	err  error
}

func (w *world) start(t testing.TB, name string, more ...string) *instance {
	t.Helper()
	i := launch(t, append(w.environ(name), more...))
	await(t, "it serves", func() bool {
		addr := i.out.Value("serving", "addr")
		i.url = "http://" + addr
		return addr != ""
	})
	return i
}

func launch(t testing.TB, environ []string) *instance {
	t.Helper()
	i := &instance{out: &logtest.Lines{}, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	i.stop = cancel
	go func() {
		defer close(i.done)
		i.err = run(ctx, environ, i.out)
	}()
	t.Cleanup(func() {
		cancel()
		<-i.done
		if t.Failed() {
			t.Logf("log of an instance (without debug lines):\n%s", i.out.Without("DEBUG"))
		}
	})
	return i
}

// end waits until the program has ended, and returns its error.
func (i *instance) end(t testing.TB) error {
	t.Helper()
	select {
	case <-i.done:
		return i.err
	case <-time.After(time.Minute):
		t.Fatal("the program doesn't end")
		return nil
	}
}

// stopped stops it as SIGTERM does, and expects no error.
func (i *instance) stopped(t testing.TB) {
	t.Helper()
	i.stop()
	if err := i.end(t); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

// metric returns the sum of a metric's series whose labels contain all given.
func (i *instance) metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	sum := 0.0
	for line := range strings.Lines(get(t, i.url+"/metrics")) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if bare, _, _ := strings.Cut(series, "{"); bare != name {
			continue
		}
		if slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(series, l) }) {
			continue
		}
		var v float64
		if _, err := fmt.Sscan(value, &v); err != nil {
			t.Fatal(err)
		}
		sum += v
	}
	return sum
}

func get(t testing.TB, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(response.StatusCode, " ", string(text))
}

// order makes a record as the producer does.
func (w *world) order(id int, product string, quantity int64) *kgo.Record {
	value, err := event.Order{ID: int64(id), Product: product, Quantity: quantity, EventID: fmt.Sprint(id), SchemaVersion: 1}.Encode()
	if err != nil {
		panic(err) // in a test: a struct of strings and numbers
	}
	return &kgo.Record{Topic: w.orders, Key: fmt.Append(nil, id), Value: value}
}

// some returns n orders of a few products.
func (w *world) some(from, n int) []*kgo.Record {
	products := []string{"Laptop", "Mouse", "Cable", "Ünïcode 🛒", "a@b"}
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = w.order(from+i, products[(from+i)%len(products)], int64(1+(from+i)%5))
	}
	return records
}

// awaitDone waits until the group has committed all existing orders.
func (w *world) awaitDone(t testing.TB) {
	t.Helper()
	last := map[int32]int64{}
	for _, r := range w.Read(t, w.orders) {
		last[r.Partition] = max(last[r.Partition], r.Offset)
	}
	await(t, "all orders are committed", func() bool {
		offsets, err := w.Admin().FetchOffsets(t.Context(), w.group)
		if err != nil {
			return false
		}
		for p, offset := range last {
			if o, ok := offsets.Lookup(w.orders, p); !ok || o.At <= offset {
				return false
			}
		}
		return true
	})
}

type sum struct{ quantity, orders, offset int64 }

// check compares the totals with the orders, both read through another client: the newest
// total of each key is the sum of the valid orders, and no earlier total decreased or
// counted an order twice.
func (w *world) check(t testing.TB) {
	t.Helper()
	w.awaitDone(t)
	want, poison := map[string]sum{}, map[string]int{}
	for _, r := range w.Read(t, w.orders) {
		o, err := event.DecodeOrder(r.Value)
		if err != nil {
			poison[fmt.Sprintf("%d/%d", r.Partition, r.Offset)] = 1
			continue
		}
		key := fmt.Sprintf("%s@%d", o.Product, r.Partition)
		s := want[key]
		want[key] = sum{s.quantity + o.Quantity, s.orders + 1, r.Offset}
	}
	w.AwaitDecided(t, w.totals)
	got := map[string]sum{}
	for _, r := range w.Read(t, w.totals) {
		total, err := event.DecodeTotal(r.Value)
		if err != nil {
			t.Fatalf("total %s: %v", r.Value, err)
		}
		key := string(r.Key)
		if key != fmt.Sprintf("%s@%d", total.Product, total.Partition) {
			t.Fatalf("key %q of %s", key, r.Value)
		}
		s := sum{total.Quantity, total.Orders, total.Offset}
		if before := got[key]; s.orders <= before.orders || s.offset <= before.offset && before.orders > 0 {
			t.Errorf("%s went from %+v to %+v", key, before, s)
		}
		got[key] = s
	}
	if !maps.Equal(got, want) {
		for key := range want {
			if got[key] != want[key] {
				t.Errorf("%s = %+v, want %+v", key, got[key], want[key])
			}
		}
		t.Errorf("%d totals, want %d", len(got), len(want))
	}
	letters := map[string]int{}
	for _, r := range w.Read(t, w.letters) {
		letters[header(r, "dlq-partition")+"/"+header(r, "dlq-offset")]++
	}
	if !maps.Equal(letters, poison) {
		t.Errorf("dead letters of %v, want one of each of %v", letters, poison)
	}
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// expel removes the members from the group without their knowing.
func (w *world) expel(t testing.TB) int {
	t.Helper()
	n, err := w.Expel(t.Context(), w.group)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (w *world) members(t testing.TB) int {
	t.Helper()
	members, _, err := w.Members(t.Context(), w.group)
	if err != nil {
		return -1
	}
	return len(members)
}

// stable reports whether the group has n members, each with partitions.
func (w *world) stable(t testing.TB, n int) bool {
	t.Helper()
	members, stable, err := w.Members(t.Context(), w.group)
	return err == nil && stable && len(members) == n &&
		!slices.ContainsFunc(members, func(m brokertest.Member) bool { return m.Partitions == 0 })
}

func await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
