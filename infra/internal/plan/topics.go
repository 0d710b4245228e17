package plan

import (
	"strconv"
	"time"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/kafka"
)

// Topics returns the topics as the Job gets them.
func Topics(c config.Config) []kafka.Topic {
	var list []kafka.Topic
	for _, t := range c.Topics.All() {
		settings := map[string]string{
			// On every topic, and not just on the brokers: a topic keeps its own when the brokers' changes.
			"min.insync.replicas": strconv.Itoa(Topology(c).MinInSyncReplicas()),
			"cleanup.policy":      "delete",
		}
		if t.Compacted {
			settings["cleanup.policy"] = "compact"
		} else {
			settings["retention.ms"] = strconv.FormatInt(time.Duration(t.Retention).Milliseconds(), 10)
		}
		list = append(list, kafka.Topic{
			Name:              t.Name,
			Partitions:        t.Partitions,
			ReplicationFactor: Topology(c).ReplicationFactor(),
			Config:            settings,
		})
	}
	return list
}

// Topology is how many nodes Kafka has.
func Topology(c config.Config) kafka.Topology {
	return kafka.Topology{Brokers: c.Kafka.Brokers, Controllers: c.Kafka.Controllers, Voters: c.Kafka.Voters}
}
