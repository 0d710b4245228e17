package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"shopstream/services/internal/event"
	"shopstream/services/internal/kafkax"
)

// product is something that the demo shop sells.
type product struct {
	name   string
	cents  int64
	weight int // how often it is bought, relative to the others
}

// catalogue is weighted as in real shops: cheap products are bought more often.
func catalogue() []product {
	return []product{
		{"USB-C Cable", 1199, 30},
		{"Mouse Pad", 899, 18},
		{"Wireless Mouse", 2999, 16},
		{"Phone Case", 1999, 14},
		{"Mechanical Keyboard", 8999, 8},
		{"Headphones", 14999, 7},
		{"Webcam", 6999, 6},
		{"External SSD", 11999, 5},
		{"Monitor", 27999, 4},
		{"Tablet", 44999, 3},
		{"Laptop", 129999, 3},
		{"Standing Desk", 59999, 1},
	}
}

// skew is the exponent of the users' Zipf distribution: of 1,000 users, the
// first makes nearly a fifth of the purchases.
const skew = 1.1

const maxQuantity = 5

// maker makes random events that look like a shop's. Not safe for concurrent use.
type maker struct {
	random   *rand.Rand
	products []product
	weights  int
	users    *rand.Zipf
	currency string
	ids      *rand.ChaCha8 // random bytes of the event ids
}

func newMaker(users int, currency string, source *rand.ChaCha8) *maker {
	random := rand.New(source)
	m := &maker{
		random: random, products: catalogue(), users: rand.NewZipf(random, skew, 1, uint64(users-1)), currency: currency,
		ids: source,
	}
	for _, p := range m.products {
		m.weights += p.weight
	}
	return m
}

func (m *maker) pick() (product, int64) {
	n := m.random.IntN(m.weights)
	for _, p := range m.products {
		if n -= p.weight; n < 0 {
			return p, 1 + m.random.Int64N(maxQuantity)
		}
	}
	return m.products[0], 1
}

// order makes an order. Its key is its id, as in the original system.
func (m *maker) order(now time.Time) (kafkax.Record, error) {
	id, err := event.NewIDFrom(m.ids)
	if err != nil {
		return kafkax.Record{}, err
	}
	p, quantity := m.pick()
	o := event.Order{ID: now.UnixMilli(), Product: p.name, Quantity: quantity, EventID: id, SchemaVersion: event.SchemaVersion}
	value, err := o.Encode()
	if err != nil {
		return kafkax.Record{}, fmt.Errorf("encoding an order: %w", err)
	}
	return kafkax.Record{Key: strconv.AppendInt(nil, o.ID, 10), Value: value}, nil
}

// purchase makes a purchase. Its key is its userid, so that a user's events keep
// their order.
func (m *maker) purchase(now time.Time) (kafkax.Record, error) {
	id, err := event.NewIDFrom(m.ids)
	if err != nil {
		return kafkax.Record{}, err
	}
	p, quantity := m.pick()
	user := int(m.users.Uint64()) + 1
	units := int64(math.Pow10(event.MinorDigits(m.currency)))
	minor := max(1, p.cents*quantity*units/100)
	request := event.BuyRequest{
		Username:   nameOf(user),
		UserID:     fmt.Sprintf("user-%d", user),
		Price:      event.Price(float64(minor) / float64(units)),
		PriceMinor: minor,
		Product:    p.name,
	}
	value, err := event.NewPurchase(request, id, m.currency, now).Encode()
	if err != nil {
		return kafkax.Record{}, fmt.Errorf("encoding a purchase: %w", err)
	}
	return kafkax.Record{Key: []byte(request.UserID), Value: value}, nil
}

// nameOf gives a user the same name every time.
func nameOf(user int) string {
	names := [...]string{"Ann", "Ben", "Chloe", "David", "Elif", "Farid", "Grace", "Hiro", "Ines", "Jonas", "Kofi", "Lena", "Mei", "Noah", "Olga", "Priya"}
	return fmt.Sprintf("%s %d", names[user%len(names)], user)
}
