package main

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"shopstream/services/internal/event"
	"shopstream/services/internal/retry"
)

// Topics are deleted and recreated within a fifth of a second, while thousands buy: what is
// acknowledged from then on is stored, however long the new log is, and what was lost with
// the old one is reported. The totals continue.
func TestRecreatedTopics(t *testing.T) {
	stages := stages{manifest: manifestOrSkip(t), bin: buildServices(t)}
	s := stages.take(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("logs are kept in %s", s.dir)
			stages.fail()
			return
		}
		stages.discard()
	})
	s.shoppers = newShoppers(s.platform.url("web-server"), 64, 0)

	t.Run("purchases", func(t *testing.T) {
		s.buyMany(t, 6000)
		before := s.shoppers.ledger.ids()
		took := s.recreate(t, "purchases")
		s.buyMany(t, 12000)
		if err := s.auditor.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		stored := s.storedIDs(t)
		gone, lost := 0, 0
		for id := range s.shoppers.ledger.ids() {
			switch {
			case stored[id]:
			case before[id]:
				gone++
			default:
				lost++
			}
		}
		unread := s.metric(t, "management-api", "kafka_records_unread_total", `topic="purchases"`)
		t.Logf("made anew within %s; of %d purchases before, %d went with the old log, and at least %v are told; of %d after, %d are lost",
			took.Round(time.Millisecond), len(before), gone, unread, len(s.shoppers.ledger.ids())-len(before), lost)
		if lost > 0 {
			t.Errorf("%d acknowledged purchases are not stored", lost)
		}
		if gone > 0 && unread == 0 {
			t.Errorf("%d purchases that were lost with the old log are not reported", gone)
		}
		if got := s.metric(t, "management-api", "kafka_log_changes_total", `kind="recreated"`); got != 6 {
			t.Errorf("%v changes are counted, want one for each partition", got)
		}
		s.wantSaid(t, "management-api")
	})

	t.Run("orders", func(t *testing.T) {
		s.orderFor(t, 5*time.Second)
		before := s.totals(t)
		took := s.recreate(t, "orders")
		s.orderFor(t, 10*time.Second)
		want := maps.Clone(before)
		orders, err := s.auditor.read(t.Context(), "orders")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range orders {
			o, err := event.DecodeOrder(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			want[o.Product] += o.Quantity
		}
		got := s.totals(t)
		t.Logf("made anew within %s; %d orders in it", took.Round(time.Millisecond), len(orders))
		if len(orders) == 0 || !maps.Equal(got, want) {
			t.Errorf("totals %v, want %v", got, want)
		}
		if got := s.metric(t, "consumer", "kafka_log_changes_total", `topic="orders"`, `kind="recreated"`); got != 6 {
			t.Errorf("%v changes are counted, want one for each partition", got)
		}
		s.wantSaid(t, "consumer")
	})
	if got := s.platform.restarts(); got != 0 {
		t.Errorf("%d services ended by themselves", got)
	}
}

// buyMany lets the shoppers buy until n more purchases are acknowledged.
func (s *stage) buyMany(t *testing.T, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.shoppers.buy(ctx)
	}()
	for s.shoppers.acknowledged() < n && retry.Sleep(ctx, 5*time.Millisecond) {
	}
	if ctx.Err() != nil {
		t.Errorf("only %d of %d purchases are acknowledged", s.shoppers.acknowledged(), n)
	}
	cancel()
	<-done
	if err := s.shoppers.tally.faults(); err != nil {
		t.Error(err)
	}
}

// orderFor produces orders for a time, until all of them are counted.
func (s *stage) orderFor(t *testing.T, d time.Duration) {
	t.Helper()
	if err := s.platform.start("producer", "producer", "RATE=300"); err != nil {
		t.Fatal(err)
	}
	retry.Sleep(t.Context(), d+time.Duration(rand.Int64N(int64(time.Second))))
	if err := s.platform.endIfRunning("producer"); err != nil {
		t.Fatal(err)
	}
	if err := s.auditor.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// recreate deletes a topic and creates it again as soon as the brokers allow it.
func (s *stage) recreate(t *testing.T, topic string) time.Duration {
	t.Helper()
	admin, err := s.brokers.Admin()
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	config := map[string]*string{"min.insync.replicas": kadm.StringPtr("2")}
	start := time.Now()
	if _, err := admin.DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	for {
		_, err := admin.CreateTopic(t.Context(), 6, 3, config, topic)
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > 10*time.Second {
			t.Fatalf("recreating %q: %v", topic, err)
		}
		retry.Sleep(t.Context(), 5*time.Millisecond)
	}
}

func (l ledger) ids() map[string]bool {
	ids := map[string]bool{}
	for _, numbers := range l {
		for _, id := range numbers {
			ids[id] = true
		}
	}
	return ids
}

func (s *stage) storedIDs(t *testing.T) map[string]bool {
	t.Helper()
	cursor, err := s.auditor.store.Find(t.Context(), bson.D{}, options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		t.Fatal(err)
	}
	var documents []struct {
		ID string `bson:"_id"`
	}
	if err := cursor.All(t.Context(), &documents); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, d := range documents {
		ids[d.ID] = true
	}
	return ids
}

// totals returns the sums of the newest totals, by product.
func (s *stage) totals(t *testing.T) map[string]int64 {
	t.Helper()
	records, err := s.auditor.read(t.Context(), "product-totals")
	if err != nil {
		t.Fatal(err)
	}
	newest := map[string]event.Total{}
	for _, r := range records {
		total, err := event.DecodeTotal(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		if key := string(r.Key); total.Orders > newest[key].Orders {
			newest[key] = total
		}
	}
	sums := map[string]int64{}
	for _, total := range newest {
		sums[total.Product] += total.Quantity
	}
	return sums
}

// metric returns the sum of a service's series with these labels.
func (s *stage) metric(t *testing.T, service, name string, labels ...string) float64 {
	t.Helper()
	response, err := http.Get(s.platform.url(service) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	sum := 0.0
lines:
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		series, value, _ := strings.Cut(lines.Text(), " ")
		if !strings.HasPrefix(series, name+"{") {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(series, label) {
				continue lines
			}
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += v
	}
	return sum
}

// wantSaid looks for the change in a service's log.
func (s *stage) wantSaid(t *testing.T, service string) {
	t.Helper()
	log, err := os.ReadFile(fmt.Sprintf("%s/%s.log", s.dir, service))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "why=recreated") {
		t.Errorf("the log of %s doesn't say that the topic was recreated", service)
	}
}
