package main

import (
	"errors"
	"fmt"
	"time"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/telemetry"
)

type config struct {
	Log   telemetry.Config
	Kafka kafkax.Config

	Topics   string        `env:"TOPICS,required,notEmpty" doc:"The declaration: a JSON list such as [{\"name\":\"orders\",\"partitions\":6,\"replicationFactor\":3,\"config\":{\"cleanup.policy\":\"compact\"}}]."`
	ACLs     string        `env:"ACLS" doc:"The access list: a JSON list such as [{\"user\":\"web-server\",\"grants\":[{\"topic\":\"purchases\",\"operations\":[\"Write\"]}]}]. Users in it have these grants and no others; the grants of other users stay unchanged, and all do if it is empty."`
	External bool          `env:"EXTERNAL" envDefault:"false" doc:"The cluster belongs to others: what the user may not change is only compared, and is an error where a topic is less than its declaration. Nothing is taken from a topic."`
	Timeout  time.Duration `env:"TIMEOUT" envDefault:"60s" doc:"How long to try until topics and access list match the declaration; this includes waiting for brokers that are still starting."`
}

// Validate implements envconf.Validator.
func (c config) Validate() error {
	var faults []error
	if c.Timeout <= 0 {
		faults = append(faults, errors.New("TIMEOUT must be positive"))
	}
	if _, err := parseTopics(c.Topics); err != nil {
		faults = append(faults, fmt.Errorf("TOPICS: %w", err))
	}
	if _, err := parseAccess(c.ACLs); err != nil {
		faults = append(faults, fmt.Errorf("ACLS: %w", err))
	}
	return errors.Join(faults...)
}
