package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/event"
	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/testkit/brokertest"
	"shopstream/services/internal/testkit/database"
	"shopstream/services/internal/testkit/databasetest"
	"shopstream/services/internal/testkit/freeport"
)

// TestNothingIsLostAndNothingIsDoubled checks the platform's guarantee while processes are
// killed under load and the database is unreachable: every acknowledged purchase is stored
// once, every order counted once.
//
// With KAFKA_BOOTSTRAP_SERVERS it uses that Kafka; REPLICATION_FACTOR is then the number of
// replicas of its topics.
func TestNothingIsLostAndNothingIsDoubled(t *testing.T) {
	const purchases, orders = 10_000, 6_000
	kafka := brokertest.Start(t)
	db := startDatabase(t)
	p := up(t, setup{env: map[string]string{
		"KAFKA_BOOTSTRAP_SERVERS": kafka.BootstrapServers,
		"MONGO_URI":               db.uri,
		"MONGO_DATABASE":          db.name,
		"TOPIC":                   "orders",
		"RATE":                    "400",
		"COUNT":                   fmt.Sprint(orders),
	}})

	var shoppers crowd
	var poison []*kgo.Record
	var all sync.WaitGroup
	all.Go(func() {
		shoppers.buyMany(t.Context(), t, p.url("WEB_SERVER_ADDR", "/api/v1/buy"), purchases, 600)
	})
	all.Go(func() { poison = poisonPurchases(t, kafka) })
	all.Go(func() {
		for range 3 {
			time.Sleep(2 * time.Second)
			p.awaitNewer("consumer", p.killed("consumer"))
		}
	})
	all.Go(func() { harass(p, db) })
	all.Wait()

	for _, err := range shoppers.failed {
		t.Errorf("a purchase was refused: %v", err)
	}
	if len(shoppers.acked) != purchases {
		t.Errorf("%d purchases acknowledged", len(shoppers.acked))
	}
	start := time.Now()
	ids := shoppers.allStored(t, 60*time.Second, db.uri, db.name)
	t.Logf("all %d purchases stored once, %s after the last fault", len(shoppers.acked), time.Since(start).Round(time.Millisecond))
	// The database guarantees unique ids; a purchase stored again under another id would
	// show here.
	for id := range ids {
		if !shoppers.acked[id] {
			t.Errorf("purchase %s is stored and was never acknowledged", id)
		}
	}
	mendPoison(t, kafka, db, poison)

	p.await("msg=finished service=local of=producer")
	start = time.Now()
	ordersCountedOnce(t, kafka, orders)
	t.Logf("all %d orders counted once, after %s more", orders, time.Since(start).Round(time.Millisecond))
	t.Logf("processes: %d of management-api, %d of consumer", len(p.pids("management-api")), len(p.pids("consumer")))
	p.stop()
}

// harass kills management-api five times, and takes the database away for a
// while around the third.
func harass(p *platform, db *testDatabase) {
	for i := range 5 {
		time.Sleep(time.Second)
		if i == 2 {
			db.stop()
			time.Sleep(2 * time.Second)
		}
		n := p.killed("management-api")
		if i == 2 {
			time.Sleep(2 * time.Second)
			db.start(p.t)
		}
		p.awaitNewer("management-api", n)
	}
}

// testDatabase is an embedded database that can be stopped and started in its
// place, or an outside one that can't.
type testDatabase struct {
	uri, name, dir string
	running        *database.Database
}

func startDatabase(t *testing.T) *testDatabase {
	t.Helper()
	if os.Getenv("MONGO_URI") != "" {
		t.Log("SKIP taking the database away: MONGO_URI names an outside one")
		uri, name := databasetest.Start(t)
		return &testDatabase{uri: uri, name: name}
	}
	db := &testDatabase{uri: "mongodb://" + freeport.Addr(t) + "/", name: "shopping", dir: t.TempDir()}
	db.start(t)
	t.Cleanup(db.stop)
	return db
}

func (db *testDatabase) start(t *testing.T) {
	if db.dir == "" || db.running != nil {
		return
	}
	running, err := database.Start(strings.Trim(strings.TrimPrefix(db.uri, "mongodb://"), "/"), db.dir, nil)
	if err != nil {
		t.Error(err)
		return
	}
	db.running = running
}

func (db *testDatabase) stop() {
	if db.running != nil {
		db.running.Close()
		db.running = nil
	}
}

// poisonPurchases produces records that can't be stored among the purchases; half of them
// can be corrected.
func poisonPurchases(t *testing.T, kafka *brokertest.Kafka) []*kgo.Record {
	var poison []*kgo.Record
	for i := range 20 {
		value := fmt.Sprintf(`{"username":"Eve","userid":"eve-%d","price":-1,"timestamp":1700000000}`, i)
		if i%2 == 1 {
			value = fmt.Sprintf("\xff\x00 not JSON %d", i)
		}
		r := &kgo.Record{Topic: "purchases", Key: fmt.Appendf(nil, "eve-%d", i), Value: []byte(value)}
		kafka.Produce(t, r)
		poison = append(poison, r)
		time.Sleep(500 * time.Millisecond)
	}
	return poison
}

// mendPoison finds each such record among the dead letters, corrects those that can be
// corrected with replay-dlq, and finds them stored.
func mendPoison(t *testing.T, kafka *brokertest.Kafka, db *testDatabase, poison []*kgo.Record) {
	t.Helper()
	letters := map[string]*kgo.Record{} // by partition and offset of the source
	for _, r := range kafka.Read(t, "purchases.dlq") {
		letters[header(r, kafkax.HeaderPartition)+"/"+header(r, kafkax.HeaderOffset)] = r
	}
	for _, r := range poison {
		letter := letters[fmt.Sprintf("%d/%d", r.Partition, r.Offset)]
		switch {
		case letter == nil:
			t.Errorf("%q is not among the dead letters", r.Value)
		case !bytes.Equal(letter.Value, r.Value) || !bytes.Equal(letter.Key, r.Key):
			t.Errorf("the dead letter of %q holds %q", r.Value, letter.Value)
		}
	}

	replay := func(args ...string) []byte {
		t.Helper()
		cmd := exec.Command(filepath.Join(built(t), "management-api"), append([]string{"replay-dlq"}, args...)...)
		cmd.Env = append(os.Environ(), "KAFKA_BOOTSTRAP_SERVERS="+kafka.BootstrapServers)
		out, err := cmd.Output()
		if err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				err = fmt.Errorf("%w: %s", err, exit.Stderr)
			}
			t.Fatalf("replay-dlq %v: %v", args, err)
		}
		return out
	}
	// What an operator does: print, correct, put back.
	before := len(stored(t, db.uri, db.name))
	look := replay("--dry-run")
	mended := filepath.Join(t.TempDir(), "mended.jsonl")
	if err := os.WriteFile(mended, bytes.ReplaceAll(look, []byte(`\"price\":-1`), []byte(`\"price\":1`)), 0o644); err != nil {
		t.Fatal(err)
	}
	replay("--mended", mended)
	eventually(t, 30*time.Second, func() error {
		if got, want := len(stored(t, db.uri, db.name)), before+len(poison)/2; got != want {
			return fmt.Errorf("%d purchases stored, want %d", got, want)
		}
		return nil
	})
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// ordersCountedOnce compares the consumer's totals with the sums of the orders on the topic,
// read by another client.
func ordersCountedOnce(t *testing.T, kafka *brokertest.Kafka, atLeast int) {
	t.Helper()
	type sum struct{ Orders, Quantity int64 }
	want := map[string]sum{}
	records := kafka.Read(t, "orders")
	for _, r := range records {
		o, err := event.DecodeOrder(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		s := want[o.Product]
		want[o.Product] = sum{s.Orders + 1, s.Quantity + o.Quantity}
	}
	if len(records) < atLeast {
		t.Errorf("%d orders on the topic, want %d", len(records), atLeast)
	}
	eventually(t, 60*time.Second, func() error {
		latest := map[string]event.Total{}
		for _, r := range kafka.Read(t, "product-totals") {
			total, err := event.DecodeTotal(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			latest[string(r.Key)] = total
		}
		got := map[string]sum{}
		for _, total := range latest {
			s := got[total.Product]
			got[total.Product] = sum{s.Orders + total.Orders, s.Quantity + total.Quantity}
		}
		if a, b := asJSON(got), asJSON(want); a != b {
			time.Sleep(500 * time.Millisecond)
			return fmt.Errorf("totals are\n%s, want\n%s", a, b)
		}
		return nil
	})
}

func asJSON(v any) string {
	text, _ := json.Marshal(v) // maps of numbers can be encoded
	return string(text)
}
