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
	Timeout time.Duration `env:"TIMEOUT" envDefault:"60s" doc:"How long to try until the topics are what the declaration says; brokers that still start are waited for."`
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
	return errors.Join(faults...)
}
