package kafkax

import (
	"maps"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// The settings of every Kafka client are in this file, with the reason for each
// value. What isn't set has librdkafka's default (its CONFIGURATION.md).

// Time limits of requests to the brokers.
const (
	// AnswerTimeout bounds a request that is retried. Brokers answer within
	// milliseconds; one that takes this long is unreachable, and the next attempt may
	// reach another.
	AnswerTimeout = 2 * time.Second
	// OnceTimeout bounds a request that is sent only once, as commands do. It is longer
	// than the election of a leader.
	OnceTimeout = 15 * time.Second
	// ChangeTimeout bounds one change of topics or grants: the controllers
	// replicate it before they answer.
	ChangeTimeout = 5 * time.Second

	// dialTimeout bounds connecting to a broker.
	dialTimeout = 3 * time.Second
	// silence is how long a broker may stay silent, beyond the time that it was asked to
	// wait, before its connection is closed.
	silence = 5 * time.Second
	// askTimeout bounds a Reader's request. It is longer than silence, so that the
	// connection is replaced before the request is retried.
	askTimeout = 6 * time.Second
	// explainTimeout bounds Explain over all brokers: health checks wait for it.
	explainTimeout = time.Second
)

// commonSettings returns the settings of every librdkafka client of a service.
func (c Config) commonSettings(clientID string) kafka.ConfigMap {
	settings := kafka.ConfigMap{
		"bootstrap.servers":      c.BootstrapServers,
		"security.protocol":      c.SecurityProtocol,
		"client.id":              clientID,
		"go.logs.channel.enable": true, // pumpLogs reads it
		// A broker that comes back is found within seconds, not within the
		// default ten.
		"reconnect.backoff.ms":     100,
		"reconnect.backoff.max.ms": 2000,
		"socket.keepalive.enable":  true,
		// Librdkafka batches by itself: a small request must not also wait for the
		// acknowledgement of the packet before it.
		"socket.nagle.disable": true,
		// Metrics are scraped from the service; brokers need not collect them.
		"enable.metrics.push": false,
		// A metadata request never creates the topic.
		"allow.auto.create.topics": false,
	}
	for key, value := range map[string]string{
		"sasl.mechanism":           c.SASLMechanism,
		"sasl.username":            c.SASLUsername,
		"sasl.password":            c.SASLPassword.Reveal(),
		"ssl.ca.location":          c.TLSCAFile,
		"ssl.certificate.location": c.TLSCertFile,
		"ssl.key.location":         c.TLSKeyFile,
		"client.rack":              c.Rack,
	} {
		if value != "" {
			settings[key] = value
		}
	}
	return settings
}

// writing are the settings of both producers.
func writing(more kafka.ConfigMap) kafka.ConfigMap {
	return *merge(kafka.ConfigMap{
		"compression.type": "lz4",
		// As the Java clients do: a key has one partition, whoever produces.
		"partitioner": "murmur2_random",
		// The client's own queue is bounded; a second one before it would not be.
		"go.produce.channel.size": 1,
	}, more)
}

func (pc ProducerConfig) settings() kafka.ConfigMap {
	requestTimeout := min(pc.AckTimeout, 30*time.Second)
	settings := writing(kafka.ConfigMap{
		"acks":               "all",
		"enable.idempotence": true,
		// With more, a broker's thread polls without a pause while records wait behind five
		// or more of their partition: librdkafka takes them for requests, of which only five
		// are allowed (rd_kafka_toppar_producer_serve). On three brokers that was most of the
		// CPU time of a buy. A broker handles the requests of a connection one after the
		// other anyway, and while one is under way, the next batch grows.
		"max.in.flight":       1,
		"delivery.timeout.ms": milliseconds(pc.AckTimeout),
		"request.timeout.ms":  milliseconds(requestTimeout),
		// No record's timeout bounds the request for the producer id. If a broker never
		// answers it, nothing is sent until that connection is closed: after a minute by
		// default.
		"socket.timeout.ms":            milliseconds(max(requestTimeout, silence)),
		"linger.ms":                    milliseconds(pc.Linger),
		"queue.buffering.max.messages": pc.MaxPending,
		"go.delivery.report.fields":    "none", // the waiter needs only offset and error
		"go.events.channel.size":       10000,
	})
	if pc.MaxRecordBytes > 0 {
		settings["message.max.bytes"] = pc.MaxRecordBytes
	}
	return settings
}

func (tc TransactionalConfig) settings() kafka.ConfigMap {
	return writing(kafka.ConfigMap{
		"transactional.id":       tc.ID, // implies acks=all and idempotence
		"transaction.timeout.ms": milliseconds(tc.Timeout),
		// Kafka refuses the offsets of a transaction while it completes the one before, which
		// takes some milliseconds. By default they are sent again after 100.
		"retry.backoff.ms":       20,
		"linger.ms":              5,     // a commit flushes at once
		"go.delivery.reports":    false, // a failed record makes the commit fail
		"go.events.channel.size": 1000,
	})
}

func (mc MemberConfig) settings(protocol string) kafka.ConfigMap {
	settings := kafka.ConfigMap{
		"group.id":       mc.GroupID,
		"group.protocol": protocol,
		// Offsets are stored explicitly, once all records before them are finished.
		"enable.auto.offset.store": false,
		"enable.auto.commit":       mc.AutoCommit,
		// Autoscalers compare the end of the log with the committed offset. With a commit per
		// second, a member that keeps up would seem to lag by the records of a second.
		"auto.commit.interval.ms": 200,
		// Request offsets that no open transaction can still change.
		"isolation.level": "read_committed",
		// How soon an added partition is assigned; by default after five minutes.
		"topic.metadata.refresh.interval.ms": 5000,
	}
	if protocol == ProtocolConsumer {
		return settings // the brokers assign, and set the timeouts
	}
	return *merge(settings, kafka.ConfigMap{
		// A rebalance revokes only the partitions that another member gets.
		"partition.assignment.strategy": "cooperative-sticky",
		"session.timeout.ms":            milliseconds(mc.SessionTimeout),
		"heartbeat.interval.ms":         1000, // how soon a member learns of a rebalance
	})
}

func milliseconds(d time.Duration) int { return int(d.Milliseconds()) }

// merge returns base with the settings of more, which take precedence.
func merge(base, more kafka.ConfigMap) *kafka.ConfigMap {
	merged := maps.Clone(base)
	maps.Copy(merged, more)
	return &merged
}
