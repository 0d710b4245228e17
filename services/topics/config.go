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
	External bool          `env:"EXTERNAL" envDefault:"false" doc:"The cluster belongs to others: what the user may not change is only compared, and is an error if a topic has less than its declaration. Nothing is removed from a topic."`
	Brokers  int           `env:"BROKERS" envDefault:"0" doc:"How many brokers there should be, with ids from 0: they get a fair share of all partitions, and Kafka's internal topics get as many replicas as the declared ones have. 0 leaves partitions where they are."`
	Rate     int64         `env:"MOVE_BYTES_PER_SECOND" envDefault:"20971520" doc:"How many bytes per second each broker may send, and receive, of partitions that are moved. It must be more than is written to them."`
	Soak     time.Duration `env:"FINALIZE_AFTER" envDefault:"1h" doc:"With the argument finalize: how long all brokers must have run a release before its features are finalized."`
	Timeout  time.Duration `env:"TIMEOUT" envDefault:"60s" doc:"How long to try until topics and access list match the declaration; this includes waiting for brokers that are still starting, and not moving partitions."`
}

// Validate implements envconf.Validator.
func (c config) Validate() error {
	var faults []error
	if c.Timeout <= 0 {
		faults = append(faults, errors.New("TIMEOUT must be greater than 0"))
	}
	if c.Brokers < 0 {
		faults = append(faults, errors.New("BROKERS must not be negative"))
	}
	if c.Brokers > 0 && c.External {
		faults = append(faults, errors.New("BROKERS and EXTERNAL: partitions of an external cluster are not moved: set only one of the two"))
	}
	if c.Rate < 1 {
		faults = append(faults, errors.New("MOVE_BYTES_PER_SECOND must be greater than 0"))
	}
	if c.Soak < 0 {
		faults = append(faults, errors.New("FINALIZE_AFTER must not be negative"))
	}
	if _, err := parseTopics(c.Topics); err != nil {
		faults = append(faults, fmt.Errorf("TOPICS: %w", err))
	}
	if _, err := parseAccess(c.ACLs); err != nil {
		faults = append(faults, fmt.Errorf("ACLS: %w", err))
	}
	return errors.Join(faults...)
}
