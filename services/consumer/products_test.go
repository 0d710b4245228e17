package main

import (
	"fmt"
	"strings"
	"testing"

	"shopstream/services/internal/event"
)

// Anyone can invent products, and the totals of all are in memory. Orders of too many become
// dead letters; those of known products are counted.
func TestTheNumberOfProductsIsLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	orders := func(products ...string) {
		t.Helper()
		for n, product := range products {
			w.Produce(t, w.order(n, product, 1))
		}
		w.awaitDone(t)
	}
	long := strings.Repeat("🛒", 100)
	counts := func() map[string]int64 {
		w.AwaitDecided(t, w.totals)
		counts := map[string]int64{}
		for _, r := range w.Read(t, w.totals) {
			total, err := event.DecodeTotal(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			counts[total.Product] = total.Orders
		}
		return counts
	}
	for _, run := range []struct {
		limit   int
		orders  []string
		counts  string
		letters float64
	}{
		{2, []string{"Laptop", "Mouse", "Cable", "Mouse", "Cable"}, "map[Laptop:1 Mouse:2]", 2},
		{1, []string{"Mouse", "Laptop", "Pen"}, "map[Laptop:2 Mouse:3]", 1}, // none is forgotten
		{3, []string{"Pen", "Cable"}, "map[Laptop:2 Mouse:3 Pen:1]", 1},
		{6, []string{long, "Cable", long}, "map[Cable:1 Laptop:2 Mouse:3 Pen:1]", 2}, // it counts as four
		{8, []string{long, "Cup", long}, fmt.Sprintf("map[Cable:1 Laptop:2 Mouse:3 Pen:1 %s:2]", long), 1},
	} {
		i := w.start(t, "a", fmt.Sprint("PRODUCTS_LIMIT=", run.limit))
		orders(run.orders...)
		if got := fmt.Sprint(counts()); got != run.counts {
			t.Errorf("with a limit of %d: %s, want %s", run.limit, got, run.counts)
		}
		await(t, "the metric tells", func() bool { return i.metric(t, "dead_letters_total", `reason="products"`) == run.letters })
		i.stopped(t)
	}
	letters := w.Read(t, w.letters)
	for _, r := range letters {
		if order, err := event.DecodeOrder(r.Value); err != nil || header(r, "dlq-reason") != "products" {
			t.Errorf("letter %q %v of %+v: %v", r.Value, r.Headers, order, err)
		}
	}
	if len(letters) != 7 {
		t.Errorf("%d dead letters, want 7", len(letters))
	}
}
