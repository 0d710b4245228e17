package config

// NamedTopic is a topic of the configuration, with properties that can't be configured.
type NamedTopic struct {
	Topic

	// Key is its name in the configuration.
	Key string

	// Compacted keeps the last record of each key.
	Compacted bool
}

// All returns every topic.
func (t Topics) All() []NamedTopic {
	return []NamedTopic{
		{Topic: t.Purchases, Key: "purchases"},
		{Topic: t.PurchasesDLQ, Key: "purchasesDlq"},
		{Topic: t.Orders, Key: "orders"},
		{Topic: t.OrdersDLQ, Key: "ordersDlq"},
		{Topic: t.ProductTotals, Key: "productTotals", Compacted: true},
	}
}
