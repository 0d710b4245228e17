package plan

import (
	"strconv"
	"time"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/kafka"
)

// Topics returns the topics as the Job reads them.
func Topics(c config.Config) []kafka.Topic {
	var list []kafka.Topic
	for _, t := range c.Topics.All() {
		settings := map[string]string{
			// Set on every topic, since a change of the brokers' default would change existing topics.
			"min.insync.replicas": strconv.Itoa(kafka.MinInSyncReplicas(replicationFactor(c))),
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
			ReplicationFactor: replicationFactor(c),
			Config:            settings,
		})
	}
	return list
}

// replicationFactor is the number of replicas of every partition.
func replicationFactor(c config.Config) int {
	if c.Kafka.IsExternal() {
		return c.Kafka.External.ReplicationFactor
	}
	return Topology(c).ReplicationFactor()
}

// Topology returns the topology of the stack's own Kafka.
func Topology(c config.Config) kafka.Topology {
	return kafka.Topology{Brokers: c.Kafka.Brokers, Controllers: c.Kafka.Controllers, Voters: c.Kafka.Voters}
}
