package event_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"shopstream/services/internal/event"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The golden files are the wire contract: a change here breaks readers that
// are not in this repository.
func TestWireFormat(t *testing.T) {
	request, err := event.ParseBuyRequest([]byte(`{"username":"Ann","userid":"u-1","price":19.99}`), "USD")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	id := "019b7b5c-5b1e-7a3c-8f00-0123456789ab"
	events := map[string]interface{ Encode() ([]byte, error) }{
		"purchase.json": event.NewPurchase(request, id, "USD", at),
		"order.json":    event.Order{ID: 1767323045678, Product: "Laptop", Quantity: 3, EventID: id, SchemaVersion: 1},
		"total.json":    event.Total{Product: "Laptop", Partition: 2, Quantity: 12, Orders: 4, Offset: 99, UpdatedAt: at, SchemaVersion: 1},
	}
	for name, e := range events {
		t.Run(name, func(t *testing.T) {
			got, err := e.Encode()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(got)+"\n" != string(want) {
				t.Errorf("wire form changed\n got %s\nwant %s", got, want)
			}
		})
	}
}

func TestPurchaseSurvivesTheWire(t *testing.T) {
	request := event.BuyRequest{Username: "Ann", UserID: "u/1 ü", Price: 0.1, PriceMinor: 10}
	id, err := event.NewID()
	if err != nil {
		t.Fatal(err)
	}
	want := event.NewPurchase(request, id, "EUR", time.Now().Truncate(time.Microsecond))
	value, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := event.DecodePurchase(value, event.Source{}, "USD")
	if err != nil {
		t.Fatal(err)
	}
	if !got.Timestamp.Equal(want.Timestamp.Time) {
		t.Errorf("timestamp = %v, want %v", got.Timestamp, want.Timestamp)
	}
	got.Timestamp = want.Timestamp
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestBuyRequestNamesEachBadField(t *testing.T) {
	tests := map[string]struct {
		body string
		want []string // fields at fault, in order
	}{
		"empty":                  {``, []string{""}},
		"null":                   {`null`, []string{""}},
		"array":                  {`[]`, []string{""}},
		"cut off":                {`{"username":"a"`, []string{""}},
		"two objects":            {`{"username":"a","userid":"b","price":1}{}`, []string{""}},
		"invalid UTF-8":          {"{\"username\":\"\xff\"}", []string{""}},
		"all missing":            {`{}`, []string{"username", "userid", "price"}},
		"all of the wrong type":  {`{"username":1,"userid":{},"price":"12"}`, []string{"username", "userid", "price"}},
		"blank and zero":         {`{"username":" ","userid":"","price":0}`, []string{"username", "userid", "price"}},
		"nulls":                  {`{"username":null,"userid":null,"price":null}`, []string{"username", "userid", "price"}},
		"negative":               {`{"username":"a","userid":"b","price":-1}`, []string{"price"}},
		"NaN":                    {`{"username":"a","userid":"b","price":NaN}`, []string{"price"}},
		"minus Infinity":         {`{"username":"a","userid":"b","price":-Infinity}`, []string{"price"}},
		"huge exponent":          {`{"username":"a","userid":"b","price":1e999999999}`, []string{"price"}},
		"less than a cent":       {`{"username":"a","userid":"b","price":0.001}`, []string{"price"}},
		"too much":               {`{"username":"a","userid":"b","price":1000000000.01}`, []string{"price"}},
		"names differ in case":   {`{"Username":"a","userid":"b","PRICE":1}`, []string{"username", "price"}},
		"control character":      {`{"username":"a\u0000","userid":"b","price":1}`, []string{"username"}},
		"long":                   {`{"username":"` + strings.Repeat("é", 129) + `","userid":"b","price":1}`, []string{"username"}},
		"boolean is not a price": {`{"username":"a","userid":"b","price":true}`, []string{"price"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := event.ParseBuyRequest([]byte(tt.body), "USD")
			invalid := &event.Invalid{}
			if !errors.As(err, &invalid) {
				t.Fatalf("err = %v, want *Invalid", err)
			}
			var got []string
			for _, f := range invalid.Faults {
				got = append(got, f.Field)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("faults at %q, want %q: %v", got, tt.want, err)
			}
		})
	}
}

func TestPriceIsExact(t *testing.T) {
	tests := []struct {
		price, currency string
		minor           int64
	}{
		{"19.99", "USD", 1999},
		{"0.01", "USD", 1},
		{"1e2", "USD", 10000},
		{"0.30000000000000004", "USD", 30}, // 0.1+0.2 in doubles
		{"1.005", "USD", 101},              // as a double it would round down
		{"1.004", "USD", 100},
		{"1000000000", "USD", 100_000_000_000},
		{"500", "JPY", 500},
		{"1.2345", "KWD", 1235},
		{"1.00499999999999999999", "USD", 101}, // the nearest double is 1.005
		{"4.35", "EUR", 435},                   // 4.35*100 in doubles is 434.99999999999994
	}
	for _, tt := range tests {
		r, err := event.ParseBuyRequest([]byte(`{"username":"a","userid":"b","price":`+tt.price+`}`), tt.currency)
		if err != nil || r.PriceMinor != tt.minor {
			t.Errorf("%s %s = %d (%v), want %d", tt.price, tt.currency, r.PriceMinor, err, tt.minor)
		}
	}
}

func TestDecodePurchase(t *testing.T) {
	src := event.Source{Topic: "purchases", Partition: 3, Offset: 42}

	t.Run("of the original system", func(t *testing.T) {
		original := []byte(`{"username":"ann","userid":"u1","price":12.5,"timestamp":1764000000.25}`)
		p, err := event.DecodePurchase(original, src, "USD")
		if err != nil {
			t.Fatal(err)
		}
		if p.PriceMinor != 1250 || p.Currency != "USD" || p.Timestamp.UnixMilli() != 1764000000250 {
			t.Errorf("purchase = %+v", p)
		}
		again, _ := event.DecodePurchase(original, src, "USD")
		other, _ := event.DecodePurchase(original, event.Source{Topic: "purchases", Partition: 3, Offset: 43}, "USD")
		if p.EventID == "" || again.EventID != p.EventID || other.EventID == p.EventID {
			t.Errorf("ids %q, %q, %q: the same record must give the same id, another record another", p.EventID, again.EventID, other.EventID)
		}
	})

	valid := `"username":"a","userid":"b","price":1,"timestamp":1`
	refused := map[string]string{
		"not JSON":                  `hello`,
		"a newer schema":            `{` + valid + `,"schemaVersion":2}`,
		"amounts that disagree":     `{` + valid + `,"priceMinor":101}`,
		"an id that is no UUID":     `{` + valid + `,"eventId":"17"}`,
		"a currency that is none":   `{` + valid + `,"currency":"usd"}`,
		"no timestamp":              `{"username":"a","userid":"b","price":1}`,
		"a timestamp before 1970":   `{"username":"a","userid":"b","price":1,"timestamp":-5}`,
		"a timestamp that's a text": `{"username":"a","userid":"b","price":1,"timestamp":"now"}`,
	}
	for name, value := range refused {
		t.Run(name, func(t *testing.T) {
			if p, err := event.DecodePurchase([]byte(value), src, "USD"); err == nil {
				t.Errorf("accepted: %+v", p)
			}
		})
	}
}

func TestDecodeOrder(t *testing.T) {
	o, err := event.DecodeOrder([]byte(`{"id":1764000000000,"product":"Laptop","quantity":3}`))
	if err != nil || o.Product != "Laptop" || o.Quantity != 3 || o.ID != 1764000000000 {
		t.Errorf("order = %+v, %v", o, err)
	}
	for _, value := range []string{``, `{}`, `{"product":"","quantity":1}`, `{"product":"x","quantity":0}`, `{"product":"x","quantity":1.5}`, `{"product":"x","quantity":-1}`, `{"product":"x","quantity":"2"}`, `{"product":"x","quantity":1,"schemaVersion":9}`} {
		if o, err := event.DecodeOrder([]byte(value)); err == nil {
			t.Errorf("%s accepted: %+v", value, o)
		}
	}
}

func FuzzDecodePurchase(f *testing.F) {
	f.Add([]byte(`{"username":"a","userid":"b","price":1,"timestamp":1}`))
	f.Add([]byte(`{"price":1e99}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		p, err := event.DecodePurchase(value, event.Source{}, "USD")
		if err != nil {
			return
		}
		// What was accepted can be written and read again, unchanged in worth.
		p.SchemaVersion = event.SchemaVersion // of the original system: none
		encoded, err := p.Encode()
		if err != nil {
			t.Fatalf("accepted but cannot be written: %v", err)
		}
		again, err := event.DecodePurchase(encoded, event.Source{}, "USD")
		if err != nil || again.PriceMinor != p.PriceMinor || again.EventID != p.EventID {
			t.Fatalf("read %+v, wrote %s, read %+v, %v", p, encoded, again, err)
		}
	})
}

func BenchmarkDecodePurchase(b *testing.B) {
	value, err := os.ReadFile(filepath.Join("testdata", "purchase.json"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.DecodePurchase(value, event.Source{}, "USD"); err != nil {
			b.Fatal(err)
		}
	}
}
