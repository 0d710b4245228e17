package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"shopstream/services/internal/event"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The golden files are the wire contract: a change here breaks readers outside this
// repository.
func TestWireFormat(t *testing.T) {
	request, err := event.ParseBuyRequest([]byte(`{"username":"Ann","userid":"u-1","price":19.99}`), "USD")
	if err != nil {
		t.Fatal(err)
	}
	named, err := event.ParseBuyRequest([]byte(`{"username":"Ann","userid":"u-1","price":19.99,"product":"Wool socks"}`), "USD")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	id := "019b7b5c-5b1e-7a3c-8f00-0123456789ab"
	events := map[string]interface{ Encode() ([]byte, error) }{
		"purchase.json":              event.NewPurchase(request, id, "USD", at),
		"purchase-with-product.json": event.NewPurchase(named, id, "USD", at),
		"order.json":                 event.Order{ID: 1767323045678, Product: "Laptop", Quantity: 3, EventID: id, SchemaVersion: 1},
		"total.json":                 event.Total{Product: "Laptop", Partition: 2, Quantity: 12, Orders: 4, Offset: 99, OrdersTopicID: "b3Jk", LeaderEpoch: 5, TotalsTopicID: "dG90", UpdatedAt: at, SchemaVersion: 1},
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
	request := event.BuyRequest{Username: "Ann", UserID: "u/1 ü", Price: 0.1, PriceMinor: 10, Product: "Tea & <cups>"}
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
		"invalid UTF-8":          {"{\"username\":\"\xff\"}", []string{"username"}},
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
		"names differ in case":   {`{"Username":"a","userid":"b","PRICE":1}`, []string{"Username", "PRICE", "username", "price"}},
		"control character":      {`{"username":"a\u0000","userid":"b","price":1}`, []string{"username"}},
		"long":                   {`{"username":"` + strings.Repeat("é", 129) + `","userid":"b","price":1}`, []string{"username"}},
		"product is optional":    {`{"username":"a","userid":"b","product":null}`, []string{"price"}},
		"product is not a text":  {`{"username":"a","userid":"b","price":1,"product":{"name":"x"}}`, []string{"product"}},
		"product is empty":       {`{"username":"a","userid":"b","price":1,"product":""}`, []string{"product"}},
		"product is long":        {`{"username":"a","userid":"b","price":1,"product":"` + strings.Repeat("é", 201) + `"}`, []string{"product"}},
		"boolean is not a price": {`{"username":"a","userid":"b","price":true}`, []string{"price"}},
		"the folder itself":      {`{"username":"a","userid":".","price":1}`, []string{"userid"}},
		"the folder above":       {`{"username":"a","userid":"\u002e.","price":1}`, []string{"userid"}},
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

// What encoding/json would silently repair turns two texts into one event.
func TestNothingIsRepairedSilently(t *testing.T) {
	const rest = `"userid":"b","price":1,"timestamp":1,"product":"c","quantity":1`
	tests := map[string]struct {
		value string
		field string // that the error names
	}{
		"half a surrogate pair":                 {`{"username":"x\ud800",` + rest + `}`, "username"},
		"the other half":                        {`{"username":"x\udbff",` + rest + `}`, "username"},
		"a low half alone":                      {`{"username":"\udc00x",` + rest + `}`, "username"},
		"halves the wrong way round":            {`{"username":"\ude00\ud83d",` + rest + `}`, "username"},
		"half a pair in a name":                 {`{"username":"x","\ud800":1,` + rest + `}`, ""},
		"half a pair deep in an unknown field":  {`{"username":"x","extra":[{"a":"\ud800"}],` + rest + `}`, "extra"},
		"invalid UTF-8":                         {"{\"username\":\"x\xff\"," + rest + `}`, "username"},
		"an overlong UTF-8 form":                {"{\"username\":\"\xc0\xaf\"," + rest + `}`, "username"},
		"a surrogate in UTF-8":                  {"{\"username\":\"\xed\xa0\x80\"," + rest + `}`, "username"},
		"invalid UTF-8 in an unknown field":     {"{\"username\":\"x\",\"extra\":\"\xff\"," + rest + `}`, "extra"},
		"a name twice":                          {`{"username":"x","username":"y",` + rest + `}`, "username"},
		"a name twice, once escaped":            {`{"username":"x","user\u006eame":"y",` + rest + `}`, "username"},
		"an unknown name twice":                 {`{"username":"x","extra":1,"extra":2,` + rest + `}`, "extra"},
		"a name twice deep in an unknown field": {`{"username":"x","extra":{"a":{"b":1,"b":2}},` + rest + `}`, "extra"},
		"a name in capitals beside the right":   {`{"username":"x","Username":"y",` + rest + `}`, "Username"},
		"a name that only folds to the right":   {`{"username":"x","uſerid":"y",` + rest + `}`, "uſerid"},
		"a byte order mark":                     {"\xef\xbb\xbf" + `{"username":"x",` + rest + `}`, ""},
		"UTF-16":                                {"{\x00\"\x00", ""},
		"UTF-16 after a space":                  {"\x00 \x00{\x00}", ""},
		"UTF-16 with its mark":                  {"\xff\xfe{\x00", ""},
		"gzip":                                  {"\x1f\x8b\x08", ""},
		"zlib":                                  {"\x78\x9c\xab", ""},
		"something behind":                      {`{"username":"x",` + rest + `} x`, ""},
		"objects in each other":                 {`{"username":"x","extra":` + strings.Repeat(`{"a":`, 9000) + `1` + strings.Repeat(`}`, 9000) + `,` + rest + `}`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, request := event.ParseBuyRequest([]byte(tt.value), "USD")
			_, purchase := event.DecodePurchase([]byte(tt.value), event.Source{}, "USD")
			_, order := event.DecodeOrder([]byte(tt.value))
			for reader, err := range map[string]error{"request": request, "purchase": purchase} {
				invalid := &event.Invalid{}
				if !errors.As(err, &invalid) || invalid.Faults[0].Field != tt.field {
					t.Errorf("%s: %v, want a fault at %q", reader, err, tt.field)
				}
			}
			if order == nil && tt.field != "Username" && tt.field != "uſerid" { // these are not fields of an order
				t.Error("taken as an order")
			}
		})
	}
	whole := `{"username":"\ud83d\ude00\ufffd","extra":[{"a":1},{"a":1}],` + rest + `}`
	if r, err := event.ParseBuyRequest([]byte(whole), "USD"); err != nil || r.Username != "😀\ufffd" {
		t.Errorf("%+v, %v: what is whole is taken as it is", r, err)
	}
}

// A number is decoded exactly or refused, however many digits it has.
func TestNumbersAreWhatTheySay(t *testing.T) {
	for quantity, want := range map[string]int64{
		"3": 3, "3.0": 3, "3e0": 3, "0.3e1": 3, "30e-1": 3, "3000000e-6": 3,
		"3.00000000000000000000000000000001": 0, "3e400": 0, "3e-400": 0, "1e-999999999999999999999": 0, "1e999999999999999999999": 0,
		"0.1": 0, "-3": 0, "3." + strings.Repeat("0", 64): 0, strings.Repeat("9", 60000): 0,
	} {
		o, err := event.DecodeOrder([]byte(`{"product":"x","quantity":` + quantity + `}`))
		if (err == nil) != (want != 0) || err == nil && o.Quantity != want {
			t.Errorf("quantity %.40s = %d, %v; want %d", quantity, o.Quantity, err, want)
		}
	}
	for _, price := range []string{"1e400", "1e-400", "0." + strings.Repeat("0", 400) + "1", strings.Repeat("1", 400), "1." + strings.Repeat("0", 60000)} {
		_, err := event.ParseBuyRequest([]byte(`{"username":"a","userid":"b","price":`+price+`}`), "USD")
		invalid := &event.Invalid{}
		if !errors.As(err, &invalid) || len(invalid.Faults) != 1 || invalid.Faults[0].Field != "price" {
			t.Errorf("price %.40s: %v", price, err)
		}
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
		{"1.23455", "CLF", 12346}, // a unit of account, with four digits
		{"1.234549", "UYW", 12345},
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
		if want := "e85d1037-a138-5c66-9d8f-de2cca429365"; p.EventID != want {
			t.Errorf("id %q, and earlier versions have stored it as %q", p.EventID, want)
		}
		seen := map[string]bool{p.EventID: true}
		for _, id := range []string{"one", "another"} {
			named := src
			named.TopicID = id
			p, _ := event.DecodePurchase(original, named, "USD")
			if seen[p.EventID] {
				t.Errorf("in the topic of id %q the record has the id of another", id)
			}
			seen[p.EventID] = true
		}
	})

	valid := `"username":"a","userid":"b","price":1,"timestamp":1`
	refused := map[string]string{
		"not JSON":                   `hello`,
		"a newer schema":             `{` + valid + `,"schemaVersion":2}`,
		"amounts that disagree":      `{` + valid + `,"priceMinor":101}`,
		"an id that is not a UUID":   `{` + valid + `,"eventId":"17"}`,
		"an id that nobody has set":  `{` + valid + `,"eventId":"00000000-0000-0000-0000-000000000000"}`,
		"no timestamp":               `{"username":"a","userid":"b","price":1}`,
		"a timestamp before 1970":    `{"username":"a","userid":"b","price":1,"timestamp":-5}`,
		"a timestamp that is a text": `{"username":"a","userid":"b","price":1,"timestamp":"now"}`,
	}
	for name, value := range refused {
		t.Run(name, func(t *testing.T) {
			if p, err := event.DecodePurchase([]byte(value), src, "USD"); err == nil {
				t.Errorf("accepted: %+v", p)
			}
		})
	}
}

// A shop sells in a currency in use. Events may name one that was withdrawn since, such
// as Croatia's and Bulgaria's: they are still accepted.
func TestCurrencies(t *testing.T) {
	for code, want := range map[string]struct{ sold, read bool }{
		"USD": {true, true}, "EUR": {true, true}, "JPY": {true, true}, "XAF": {true, true},
		"SLE": {true, true}, "VED": {true, true}, "XCG": {true, true}, "ZWG": {true, true}, // since 2021
		"HRK": {false, true}, "BGN": {false, true}, "ANG": {false, true}, "LTL": {false, true}, "DEM": {false, true}, // withdrawn
		"XAU": {false, true}, "XDR": {false, true}, // gold, special drawing rights
		"XXX": {}, "XTS": {}, "ZZZ": {}, "AAA": {}, "QQQ": {},
		"usd": {}, "Usd": {}, "hrk": {}, "xxx": {}, "US": {}, "USDT": {}, "US1": {}, "U D": {}, "€": {}, "ＵＳＤ": {}, "": {},
	} {
		if got := event.IsCurrency(code); got != want.sold {
			t.Errorf("%q is a currency to sell in: %v, want %v", code, got, want.sold)
		}
		value := fmt.Sprintf(`{"username":"a","userid":"b","price":1.5,"priceMinor":%d,"timestamp":1,"currency":%q}`,
			int64(math.Round(1.5*math.Pow10(event.MinorDigits(code)))), code)
		p, err := event.DecodePurchase([]byte(value), event.Source{}, "USD")
		if (err == nil) != want.read || err == nil && p.Currency != code {
			t.Errorf("%s: %v, want it read: %v", value, err, want.read)
		}
		if err != nil && !strings.Contains(err.Error(), "currency") {
			t.Errorf("%s: %v doesn't name the currency", value, err)
		}
	}
}

// A refused purchase still has its id, if the id is certain.
func TestIDOfWhatIsRefused(t *testing.T) {
	const id = "019b7b5c-5b1e-7a3c-8f00-0123456789ab"
	for value, want := range map[string]string{
		`{"eventId":"` + id + `","price":"x"}`:                     id,
		`{"eventId":"` + strings.ToUpper(id) + `"}`:                id,
		`{"eventId":"` + id + `","username":"\ud800","a":1,"a":2}`: id,
		`{"eventId":"` + id + `","eventId":"` + id + `"}`:          "",
		`{"EventID":"` + id + `"}`:                                 "",
		`{"eventId":"` + id + `","eventID":"` + id + `"}`:          "",
		`{"eventId":17}`: "", `{"eventId":"17"}`: "", `{}`: "", `[]`: "", ``: "", `nonsense`: "", `{"eventId":"` + id: "",
	} {
		if got, ok := event.IDIn([]byte(value)); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q, %v", value, got, ok)
		}
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
		// What was accepted can be written and read again with the same meaning.
		p.SchemaVersion = event.SchemaVersion // events of the original system have none
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

// What is accepted reads the same to everybody: encoding/json agrees. What
// encoding/json writes is never malformed.
func FuzzAgreesWithEncodingJSON(f *testing.F) {
	f.Add([]byte(`{"username":"a\u0041","userid":"b\ud83d\ude00","price":1.5,"x":[{},{"a":null}]}`))
	f.Add([]byte(`{"username":"\ud800","userid":"b","userid":"c","Price":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var other map[string]any
		valid := json.Unmarshal(body, &other) == nil
		r, err := event.ParseBuyRequest(body, "USD")
		if err == nil && (!valid || other["username"] != r.Username || other["userid"] != r.UserID || other["price"] != float64(r.Price)) {
			t.Fatalf("read %+v, encoding/json reads %v", r, other)
		}
		if !valid || other == nil || bytes.Count(body, []byte("{"))+bytes.Count(body, []byte("[")) > 30 {
			return
		}
		written, err := json.Marshal(other)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := event.ParseBuyRequest(written, "USD"); errors.Is(err, event.ErrMalformed) {
			t.Fatalf("%s is refused: %v", written, err)
		}
	})
}

// What the fast path accepts, the strict one accepts and reads in the same way. A field
// that nobody knows leads to the strict one.
func FuzzPlainReadsTheSame(f *testing.F) {
	for _, seed := range []string{
		`{"id":1,"product":"tea","quantity":2,"eventId":null,"schemaVersion":1}`,
		" {\t\"product\" : \"t\u00e9a\" ,\r\n\"quantity\":1e1 } \n",
		`{"product":"tea","quantity":01}`, `{"product":"tea","quantity":1.}`, `{"product":"tea","quantity":-0.5E+2}`,
		`{"product":"a\u0041","quantity":+1}`, `{"product":"tea","product":"tea"}`, `{"product":"tea","Quantity":1}`,
		`{"product":"tea","quantity":1,}`, `{"product":"tea","quantity":1}}`, `{"product":true,"quantity":nullnull}`,
		`{"product":"tea" "quantity":1}`, `{"product":{},"quantity":[1]}`, `{"product":"\x7f","quantity":1}`, `{"quantity":1e}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		brace := bytes.IndexByte(value, '{')
		if brace < 0 {
			return
		}
		strict := slices.Concat(value[:brace+1], []byte(`"nobody knows":0,`), value[brace+1:])
		order, err := event.DecodeOrder(value)
		want, wantErr := event.DecodeOrder(strict)
		if errors.Is(err, event.ErrMalformed) {
			return // the strict path refused it
		}
		if bytes.Equal(bytes.TrimSpace(value[brace+1:]), []byte("}")) {
			return // the comma makes the difference
		}
		if order != want || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("%s is %+v, %v; strictly %+v, %v", value, order, err, want, wantErr)
		}
	})
}

func BenchmarkDecodeOrder(b *testing.B) {
	value, err := os.ReadFile(filepath.Join("testdata", "order.json"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.DecodeOrder(value); err != nil {
			b.Fatal(err)
		}
	}
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

func TestTheEncodingOfABodyIsNamed(t *testing.T) {
	for body, name := range map[string]string{
		"\xef\xbb\xbf{}":       "byte order mark (UTF-8)",
		"\xff\xfe{\x00":        "byte order mark of UTF-16",
		"\xff\xfe\x00\x00{":    "byte order mark of UTF-32",
		"{\x00\"\x00":          "UTF-16",
		"\x00{\x00\"":          "UTF-16",
		" \x00{\x00":           "is UTF-16",
		"\x00\x00\x00\n":       "is UTF-32",
		"{\x00\x00\x00":        "UTF-32",
		"\x00\x00\x00{":        "UTF-32",
		"\x1f\x8b\x08\x00":     "gzip",
		"\x78\x9c\xab\x56":     "zlib",
		"\x28\xb5\x2f\xfd\x04": "zstd",
	} {
		if _, err := event.ParseBuyRequest([]byte(body), "USD"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v, want %s named", body, err, name)
		}
	}
}

// The first character of a text is not enough to name its kind.
func TestOnlyJSONIsNamedAfterItsKind(t *testing.T) {
	for body, want := range map[string]string{
		`null`: "is null", `true`: "is a JSON boolean", `"text"`: "is a JSON string", `12`: "is a JSON number", `[1]`: "is a JSON array",
		`nothing`: "is not valid JSON", `first`: "is not valid JSON", `true story`: "is a JSON boolean", `"text`: "is not valid JSON", `-x`: "is not valid JSON",
	} {
		_, err := event.ParseBuyRequest([]byte(body), "USD")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}
