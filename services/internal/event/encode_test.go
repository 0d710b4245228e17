package event_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"shopstream/services/internal/event"
)

// Any purchase and any order is written as encoding/json writes it.
func FuzzEncodesAsEncodingJSON(f *testing.F) {
	for _, text := range []string{"tea", "", "t\u00e9a", `a "quoted" \ text`, "<a&b>", "a\u2028b", "a\x00b\x7f", "\xff", "~ "} {
		f.Add(text, "user", 19.99, int64(1_700_000_000_123_456), int64(3))
		f.Add("user", text, -0.005, int64(-1), int64(math.MinInt64))
	}
	f.Add("user", "tea", math.NaN(), int64(0), int64(0))
	f.Add("user", "tea", math.Inf(-1), int64(0), int64(0))
	f.Add("user", "tea", 1e300, int64(math.MaxInt64), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, one, other string, price float64, micros, number int64) {
		same := func(kind string, got []byte, err error, value any) {
			t.Helper()
			want, wantErr := json.Marshal(value)
			if !bytes.Equal(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Errorf("%s is written %s, %v; encoding/json writes %s, %v", kind, got, err, want, wantErr)
			}
		}
		p := event.Purchase{
			Username: one, UserID: other, Price: event.Price(price), Timestamp: event.Time{Time: time.UnixMicro(micros)}, EventID: other,
			SchemaVersion: int(number), PriceMinor: number, Currency: other, Product: one,
		}
		got, err := p.Encode()
		same("a purchase", got, err, p)
		a := event.NewAcceptance(p, int32(number), number)
		got, err = a.Encode()
		same("an acceptance", got, err, a)
		o := event.Order{ID: number, Product: one, Quantity: number, EventID: other, SchemaVersion: int(number)}
		got, err = o.Encode()
		same("an order", got, err, o)
	})
}

func BenchmarkEncodePurchase(b *testing.B) {
	p := event.NewPurchase(event.BuyRequest{Username: "Ada Lovelace", UserID: "ada", Price: 19.99, PriceMinor: 1999, Product: "tea"},
		"01890a5d-ac96-774b-bcce-b302099a8057", "USD", time.Now())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}
