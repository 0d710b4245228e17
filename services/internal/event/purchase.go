// Package event is the contract between the services: the wire format of the
// events on the topics, and the rules for valid ones. Golden files in testdata
// hold the format; docs/events.md describes it.
package event

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// SchemaVersion is the version of the events that this code writes. Readers
// accept versions up to it. A newer record becomes a dead letter, which can be
// replayed once the reader is upgraded.
const SchemaVersion = 1

// Bounds of a purchase.
const (
	MaxNameLength = 128
	// MaxPrice is low enough that a double holds the minor units exactly, since
	// many JSON readers use doubles.
	MaxPrice = 1_000_000_000
)

// Purchase is the value of a record on the purchases topic; its key is UserID.
// The first four fields are those of the original system.
type Purchase struct {
	Username  string `json:"username"`
	UserID    string `json:"userid"`
	Price     Price  `json:"price"`
	Timestamp Time   `json:"timestamp"`
	// EventID makes storing idempotent: a UUID given by the web server.
	EventID       string `json:"eventId"`
	SchemaVersion int    `json:"schemaVersion"`
	// PriceMinor is the exact price in the currency's minor unit (cents).
	PriceMinor int64  `json:"priceMinor"`
	Currency   string `json:"currency"` // ISO 4217
	// Product is what was bought, by its usual name; "" if the buyer gave none.
	Product string `json:"product,omitempty"`
}

// Price is an amount in major units, kept as the double that the original
// system's readers expect. Calculations use PriceMinor.
type Price float64

// MarshalJSON writes the shortest decimal that reads back as the same double,
// never in exponent form.
func (p Price) MarshalJSON() ([]byte, error) {
	return p.append(nil), nil
}

func (p Price) append(b []byte) []byte { return strconv.AppendFloat(b, float64(p), 'f', -1, 64) }

// finite reports whether JSON has a number for it.
func (p Price) finite() bool { return !math.IsNaN(float64(p)) && !math.IsInf(float64(p), 0) }

// Time is a moment on the wire: seconds since 1970 as a float, as the original
// system wrote it. A double holds it to about a microsecond.
type Time struct{ time.Time }

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	return t.append(nil), nil
}

func (t Time) append(b []byte) []byte { return strconv.AppendFloat(b, t.Seconds(), 'f', -1, 64) }

// Seconds returns the wire form.
func (t Time) Seconds() float64 { return float64(t.UnixMicro()) / 1e6 }

// TimeOf returns the moment of a wire form.
func TimeOf(seconds float64) Time {
	return Time{time.UnixMicro(int64(math.Round(seconds * 1e6))).UTC()}
}

// BuyRequest is what a shopper sends to buy.
type BuyRequest struct {
	Username   string
	UserID     string
	Price      Price
	PriceMinor int64
	Product    string // "" if none was given
}

// ParseBuyRequest reads a request body {username, userid, price} with an optional
// product. Unknown fields are ignored. The error is an *Invalid with every fault.
//
// The ids "." and ".." are refused, since no client can request the list of their
// purchases: in a URL's path they mean a folder, also as %2E. As events they are valid.
func ParseBuyRequest(body []byte, currency string) (BuyRequest, error) {
	f, err := parseObject(body, "username", "userid", "price", "product")
	if err != nil {
		return BuyRequest{}, err
	}
	r := BuyRequest{Username: f.text("username", MaxNameLength), UserID: f.text("userid", MaxNameLength)}
	if r.UserID == "." || r.UserID == ".." {
		f.fault("userid", "must not be %q, which means a folder in a URL", r.UserID)
	}
	r.Price, r.PriceMinor = f.price(currency)
	r.Product = f.optional("product", MaxProductLength)
	return r, f.err()
}

// NewPurchase makes the event of an accepted request.
func NewPurchase(r BuyRequest, eventID, currency string, now time.Time) Purchase {
	return Purchase{
		Username: r.Username, UserID: r.UserID, Price: r.Price, Timestamp: Time{now.UTC()},
		EventID: eventID, SchemaVersion: SchemaVersion, PriceMinor: r.PriceMinor, Currency: currency,
		Product: r.Product,
	}
}

// NewID returns a new event id: a UUIDv7, whose order is that of creation.
func NewID() (string, error) { return NewIDFrom(rand.Reader) }

// NewIDFrom is NewID with the random bytes of a reader: a generator of a process's own is
// faster than the system's.
func NewIDFrom(random io.Reader) (string, error) {
	id, err := uuid.NewV7FromReader(random)
	if err != nil {
		return "", fmt.Errorf("making an event id: %w", err)
	}
	return id.String(), nil
}

// Source is the position at which a record was first read. It identifies events
// that have no id.
type Source struct {
	Topic string
	// TopicID is the topic's id, which a recreated topic doesn't share; ""
	// where it isn't known.
	TopicID   string
	Partition int32
	Offset    int64
}

// DecodePurchase reads a record value. Records of the original system, which
// have no eventId, schemaVersion, priceMinor and currency, are valid: their id is
// derived from src, so that reading one again gives the same id.
// The error is an *Invalid with every fault.
func DecodePurchase(value []byte, src Source, defaultCurrency string) (Purchase, error) {
	f, err := parseObject(value, "username", "userid", "price", "timestamp", "eventId", "schemaVersion", "priceMinor", "currency", "product")
	if err != nil {
		return Purchase{}, err
	}
	p := Purchase{Username: f.text("username", MaxNameLength), UserID: f.text("userid", MaxNameLength), Currency: defaultCurrency}
	if f.has("schemaVersion") {
		p.SchemaVersion = int(f.whole("schemaVersion", 1, SchemaVersion))
	}
	if f.has("currency") {
		p.Currency = f.currency()
	}
	p.Price, p.PriceMinor = f.price(p.Currency)
	if f.has("priceMinor") {
		if minor := f.whole("priceMinor", 1, math.MaxInt64); len(f.faults) == 0 && minor != p.PriceMinor {
			f.fault("priceMinor", "is %d, but price says %d", minor, p.PriceMinor)
		}
	}
	if seconds, ok := f.double("timestamp"); ok {
		if seconds < 0 || seconds > 253402300799 { // the year 9999
			f.fault("timestamp", "must be seconds since 1970")
		}
		p.Timestamp = TimeOf(seconds)
	}
	if f.has("eventId") {
		p.EventID = f.text("eventId", 36)
		if id, err := uuid.Parse(p.EventID); err != nil || id == uuid.Nil {
			f.fault("eventId", "must be a UUID, and not all zeros") // the second purchase with that id would count as stored
		} else {
			p.EventID = id.String() // always in lower case
		}
	} else {
		p.EventID = IDOf(src)
	}
	p.Product = f.optional("product", MaxProductLength)
	return p, f.err()
}

// IDOf derives the id of an event that has none. Without a topic id it is the one that
// earlier versions derived; records of a recreated topic then get ids of former ones.
func IDOf(src Source) string {
	topic := src.Topic
	if src.TopicID != "" {
		topic += "/" + src.TopicID // topic names contain no slash
	}
	return uuid.NewSHA1(uuid.NameSpaceURL, fmt.Appendf(nil, "kafka:%s/%d/%d", topic, src.Partition, src.Offset)).String()
}

// IsDerived reports whether an id can be one that IDOf derived: a UUID of version 5.
func IsDerived(id string) bool { return len(id) == 36 && id[14] == '5' }

// WithoutTopicID returns the source as earlier versions recorded it.
func (s Source) WithoutTopicID() Source {
	s.TopicID = ""
	return s
}

// IDIn reads the event id from a value that is refused for another reason, so
// that its outcome can be recorded under that id.
func IDIn(value []byte) (string, bool) {
	f := newFields("eventId")
	dec := jsontext.NewDecoder(bytes.NewBuffer(value), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	if dec.PeekKind() != '{' || f.read(dec, value) != nil || len(f.faults) > 0 {
		return "", false
	}
	id, err := uuid.Parse(f.text("eventId", 36))
	return id.String(), err == nil
}

// price reads the price and its exact amount of minor units.
func (f *fields) price(currency string) (Price, int64) {
	value, ok := f.double("price")
	if !ok {
		return 0, 0
	}
	switch {
	case value <= 0:
		f.fault("price", "must be greater than 0")
		return 0, 0
	case value > MaxPrice:
		f.fault("price", "must be at most %d", MaxPrice)
		return 0, 0
	}
	minor := minorOf(value, MinorDigits(currency))
	if minor == 0 {
		f.fault("price", "must be at least one minor unit of %s", currency)
		return 0, 0
	}
	return Price(value), minor
}

// minorOf returns a price of at most MaxPrice in minor units. It starts from the
// shortest decimal of the double, which is what goes on the wire; multiplying
// doubles would make 434.99999999999994 of 4.35 times 100. Digits beyond those of
// the currency are rounded half away from zero, as a till does: 0.1+0.2, sent by
// a client that calculates in doubles, is 0.30.
func minorOf(price float64, digits int) int64 {
	units, fraction, _ := strings.Cut(strconv.FormatFloat(price, 'f', -1, 64), ".")
	fraction += "00000"                                           // at least one digit more than any currency has
	minor, _ := strconv.ParseInt(units+fraction[:digits], 10, 64) // a few digits: it can't fail
	if fraction[digits] >= '5' {
		minor++
	}
	return minor
}
