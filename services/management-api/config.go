package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"shopstream/services/internal/httpx"
	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/mongox"
	"shopstream/services/internal/otlp"
	"shopstream/services/internal/telemetry"
)

const (
	// defaultCurrency is that of the original system's records, which don't name one.
	defaultCurrency = "USD"
	// replayGroup is the group whose offsets say which dead letters were replayed.
	replayGroup = "management-api-replay"
	// deadLettersCollection records refused purchases, so that shoppers can be told.
	deadLettersCollection = "dead_letters"
	// maxBatchSize keeps a batch within one insert command (48 MB).
	maxBatchSize = 10_000
)

type config struct {
	Addr   httpx.Addr `env:"HTTP_ADDR" envDefault:":8080" doc:"Address to listen on, host:port; the host may be empty."`
	HTTP   httpx.Config
	Log    telemetry.Config
	Trace  otlp.Config
	Kafka  kafkax.Config
	Group  kafkax.GroupConfig
	Topics topics
	Mongo  mongox.Config

	GroupID     string        `env:"GROUP_ID" envDefault:"management-api-group" doc:"Consumer group that stores the purchases."`
	BatchSize   int           `env:"BATCH_SIZE" envDefault:"1000" doc:"Maximum number of purchases in one insert, 1 to 10000."`
	BatchLinger time.Duration `env:"BATCH_LINGER" envDefault:"50ms" doc:"How long a purchase waits for others to be inserted with it, up to 10s."`
}

// topics are the settings that the service and replay-dlq share.
type topics struct {
	Purchases   string `env:"PURCHASES_TOPIC" envDefault:"purchases" doc:"Topic of the purchases."`
	DeadLetters string `env:"PURCHASES_DLQ_TOPIC" envDefault:"purchases.dlq" doc:"Topic of the purchases that were refused."`
}

// Validate implements envconf.Validator.
func (c config) Validate() error {
	var faults []error
	if c.BatchSize < 1 || c.BatchSize > maxBatchSize {
		faults = append(faults, fmt.Errorf("BATCH_SIZE must be 1 to %d, not %d", maxBatchSize, c.BatchSize))
	}
	if c.BatchLinger < 0 || c.BatchLinger > 10*time.Second {
		faults = append(faults, fmt.Errorf("BATCH_LINGER must be 0s to 10s, not %s", c.BatchLinger))
	}
	if c.Mongo.Collection == deadLettersCollection {
		faults = append(faults, fmt.Errorf("MONGO_COLLECTION must not be %q: that collection is for refused purchases", deadLettersCollection))
	}
	return errors.Join(faults...)
}

// Validate implements envconf.Validator.
func (t topics) Validate() error {
	var faults []error
	if !isTopicName(t.Purchases) {
		faults = append(faults, fmt.Errorf("PURCHASES_TOPIC %q is not a topic name", t.Purchases))
	}
	if !isTopicName(t.DeadLetters) {
		faults = append(faults, fmt.Errorf("PURCHASES_DLQ_TOPIC %q is not a topic name", t.DeadLetters))
	}
	if t.Purchases == t.DeadLetters {
		faults = append(faults, errors.New("PURCHASES_DLQ_TOPIC must differ from PURCHASES_TOPIC: a dead letter would be read again forever"))
	}
	return errors.Join(faults...)
}

func isTopicName(name string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	return name != "" && len(name) <= 249 && strings.Trim(name, allowed) == ""
}

// replayConfig is what replay-dlq reads: it needs no database.
type replayConfig struct {
	Log    telemetry.Config
	Trace  otlp.Config
	Kafka  kafkax.Config
	Topics topics
}
