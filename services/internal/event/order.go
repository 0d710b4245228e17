package event

import (
	"encoding/json"
	"fmt"
	"time"
	"unique"

	strict "github.com/go-json-experiment/json"
)

// Bounds of an order.
const (
	MaxProductLength = 200
	MaxQuantity      = 1_000_000
)

// Order is the value of a record on the orders topic; its key is the id. The
// first three fields are those of the original system.
type Order struct {
	ID       int64  `json:"id"` // time of creation, in milliseconds since 1970
	Product  string `json:"product"`
	Quantity int64  `json:"quantity"`
	EventID  string `json:"eventId"`

	SchemaVersion int `json:"schemaVersion"`
}

// DecodeOrder reads a record value. Only product and quantity count for the
// totals; id, eventId and schemaVersion may be absent, since other writers leave
// them out.
// The error is an *Invalid with every fault.
func DecodeOrder(value []byte) (Order, error) {
	f, err := parseObject(value, "id", "product", "quantity", "eventId", "schemaVersion")
	if err != nil {
		return Order{}, err
	}
	o := Order{Product: f.text("product", MaxProductLength), Quantity: f.whole("quantity", 1, MaxQuantity)}
	if f.has("id") {
		o.ID = f.whole("id", 0, 1<<53)
	}
	if f.has("eventId") {
		o.EventID = f.text("eventId", MaxNameLength)
	}
	if f.has("schemaVersion") {
		o.SchemaVersion = int(f.whole("schemaVersion", 1, SchemaVersion))
	}
	return o, f.err()
}

// Total is the value of a record on the product-totals topic: the totals of one
// product over one partition of the orders topic. The total of a product is the sum
// over the partitions. Since totals are kept per partition, each has one writer at a
// time, and none moves when partitions are added.
type Total struct {
	Product   string `json:"product"`
	Partition int32  `json:"partition"` // of the orders topic
	Quantity  int64  `json:"quantity"`
	Orders    int64  `json:"orders"`
	// Offset of the last order counted, in Partition. It is valid in one log only: that
	// of the topic with this id, up to this leader epoch. "" and -1 mean unknown.
	Offset        int64  `json:"offset"`
	OrdersTopicID string `json:"ordersTopicId,omitempty"`
	LeaderEpoch   int32  `json:"leaderEpoch"`
	// TotalsTopicID is the id of the totals topic that the count started in. In a
	// recreated topic, counting starts over: a total with another id doesn't belong
	// there.
	TotalsTopicID string    `json:"totalsTopicId,omitempty"`
	UpdatedAt     time.Time `json:"updatedAt"`
	SchemaVersion int       `json:"schemaVersion"`
}

// Key returns the record key, under which compaction keeps the newest total.
func (t Total) Key() []byte { return fmt.Appendf(nil, "%s@%d", t.Product, t.Partition) }

// Encode returns the record value.
func (t Total) Encode() ([]byte, error) { return json.Marshal(t) }

// DecodeTotal reads a record value.
func DecodeTotal(value []byte) (Total, error) {
	t := Total{LeaderEpoch: -1}
	if err := strict.Unmarshal(value, &t); err != nil {
		return Total{}, fmt.Errorf("decoding a total: %w", err)
	}
	// They are the same in many totals, which are kept in memory.
	t.OrdersTopicID, t.TotalsTopicID = unique.Make(t.OrdersTopicID).Value(), unique.Make(t.TotalsTopicID).Value()
	if t.SchemaVersion != SchemaVersion {
		return Total{}, fmt.Errorf("decoding a total: schemaVersion %d is unknown", t.SchemaVersion)
	}
	return t, nil
}
