package main

import (
	"strconv"
	"time"

	"shopstream/infra/internal/kafka"
)

// topic is a topic of the configuration with what is not a choice.
type topic struct {
	TopicConfig

	key     string
	compact bool
}

// all returns every topic.
func (t TopicsConfig) all() []topic {
	return []topic{
		{TopicConfig: t.Purchases, key: "purchases"},
		{TopicConfig: t.PurchasesDLQ, key: "purchasesDlq"},
		{TopicConfig: t.Orders, key: "orders"},
		{TopicConfig: t.OrdersDLQ, key: "ordersDlq"},
		{TopicConfig: t.ProductTotals, key: "productTotals", compact: true},
	}
}

// declarations returns the topics as the Job gets them.
func (c Config) declarations() []kafka.Topic {
	var list []kafka.Topic
	for _, t := range c.Topics.all() {
		settings := map[string]string{
			// On every topic, and not just on the brokers: a topic keeps its own when the brokers' changes.
			"min.insync.replicas": strconv.Itoa(c.topology().MinInSyncReplicas()),
			"cleanup.policy":      "delete",
		}
		if t.compact {
			settings["cleanup.policy"] = "compact"
		} else {
			settings["retention.ms"] = strconv.FormatInt(time.Duration(t.Retention).Milliseconds(), 10)
		}
		list = append(list, kafka.Topic{
			Name:              t.Name,
			Partitions:        t.Partitions,
			ReplicationFactor: c.topology().ReplicationFactor(),
			Config:            settings,
		})
	}
	return list
}
