package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"shopstream/services/internal/event"
)

func seeded(users int, currency string) *maker {
	return newMaker(users, currency, rand.NewChaCha8([32]byte{1}))
}

// fieldsOf returns an object's field names in their order.
func fieldsOf(t *testing.T, value []byte) []string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(value))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name.(string))
		var skip json.RawMessage
		if err := d.Decode(&skip); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// golden is the wire contract's own example.
func golden(t *testing.T, name string) []byte {
	t.Helper()
	value, err := os.ReadFile(filepath.Join("..", "internal", "event", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestOrdersAreValidAndKeyedByTheirID(t *testing.T) {
	m := seeded(10, "USD")
	now := time.Now()
	want := fieldsOf(t, golden(t, "order.json"))
	products := map[string]int{}
	for range 5000 {
		r, err := m.order(now)
		if err != nil {
			t.Fatal(err)
		}
		o, err := event.DecodeOrder(r.Value)
		if err != nil {
			t.Fatalf("%s: %v", r.Value, err)
		}
		if got := fieldsOf(t, r.Value); !slices.Equal(got, want) {
			t.Fatalf("fields %v, want %v", got, want)
		}
		if o.ID != now.UnixMilli() || string(r.Key) != strconv.FormatInt(o.ID, 10) {
			t.Fatalf("key %s of %s", r.Key, r.Value)
		}
		if o.Quantity < 1 || o.Quantity > 5 {
			t.Fatalf("quantity in %s", r.Value)
		}
		products[o.Product]++
	}
	if len(products) != len(catalogue()) || products["USB-C Cable"] < 5*products["Laptop"] {
		t.Errorf("spread = %v", products)
	}
}

func TestPurchasesAreValidAndKeyedByTheirUser(t *testing.T) {
	want := fieldsOf(t, golden(t, "purchase-with-product.json"))
	for _, currency := range []string{"USD", "JPY", "KWD"} {
		m := seeded(1000, currency)
		users := map[string]int{}
		for range 5000 {
			r, err := m.purchase(time.Now())
			if err != nil {
				t.Fatal(err)
			}
			// It checks that the price and its minor units agree.
			p, err := event.DecodePurchase(r.Value, event.Source{}, currency)
			if err != nil {
				t.Fatalf("%s: %v", r.Value, err)
			}
			if got := fieldsOf(t, r.Value); !slices.Equal(got, want) {
				t.Fatalf("fields %v, want %v", got, want)
			}
			if string(r.Key) != p.UserID || p.Currency != currency {
				t.Fatalf("key %s of %s", r.Key, r.Value)
			}
			users[p.UserID]++
		}
		counts := slices.Sorted(maps.Values(users))
		if top := counts[len(counts)-1]; top != users["user-1"] || top < 500 || len(users) < 300 {
			t.Errorf("%d users, the greatest with %d purchases: no Zipf spread", len(users), top)
		}
	}
	if r, err := seeded(1, "USD").purchase(time.Now()); err != nil || string(r.Key) != "user-1" {
		t.Errorf("with one user: %s, %v", r.Key, err)
	}
}
