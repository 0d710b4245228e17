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

	Topics  string        `env:"TOPICS,required,notEmpty" doc:"The declaration: a JSON list such as [{\"name\":\"orders\",\"partitions\":6,\"replicationFactor\":3,\"config\":{\"cleanup.policy\":\"compact\"}}]."`
	ACLs    string        `env:"ACLS" doc:"The access list: a JSON list such as [{\"user\":\"web-server\",\"grants\":[{\"topic\":\"purchases\",\"operations\":[\"Write\"]}]}]. Users in it may do this and nothing else; what others may do, and everything when it is empty, stays as it is."`
	Timeout time.Duration `env:"TIMEOUT" envDefault:"60s" doc:"How long to try until topics and access list are what the declaration says; brokers that still start are waited for."`
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
