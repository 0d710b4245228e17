package main

import (
	"errors"
	"fmt"
	"time"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/httpx"
	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/telemetry"
)

type config struct {
	Addr  httpx.Addr `env:"HTTP_ADDR" envDefault:":3000" doc:"Address that the service listens on."`
	HTTP  httpx.Config
	Log   telemetry.Config
	Kafka kafkax.Config

	DefaultTopic    string         `env:"DEFAULT_TOPIC" envDefault:"orders" doc:"Topic that /messages reads when the request names none."`
	Token           envconf.Secret `env:"API_TOKEN" doc:"What a caller has to show, as a bearer token or as the password of HTTP Basic; empty leaves the service open."`
	AllowInternal   bool           `env:"ALLOW_INTERNAL_TOPICS" envDefault:"false" doc:"Whether topics whose names start with __ are shown and read."`
	ReadTimeout     time.Duration  `env:"READ_TIMEOUT" envDefault:"5s" doc:"Longest time that a request may spend on Kafka."`
	ReadConcurrency int            `env:"READ_CONCURRENCY" envDefault:"4" doc:"How many requests read at once; the others wait."`
	ReadBytesLimit  int64          `env:"READ_BYTES_LIMIT" envDefault:"67108864" doc:"Most bytes of records that one request reads, and of its answer. About 6 × READ_CONCURRENCY × READ_BYTES_LIMIT is what reading takes in memory at most."`
}

// Validate implements envconf.Validator.
func (c config) Validate() error {
	var faults []error
	if !topicName.MatchString(c.DefaultTopic) {
		faults = append(faults, fmt.Errorf("DEFAULT_TOPIC: %q is no name of a topic", c.DefaultTopic))
	}
	if isInternal(c.DefaultTopic) && !c.AllowInternal {
		faults = append(faults, fmt.Errorf("DEFAULT_TOPIC: %q is internal, which needs ALLOW_INTERNAL_TOPICS", c.DefaultTopic))
	}
	if c.ReadTimeout <= 0 {
		faults = append(faults, errors.New("READ_TIMEOUT must be positive"))
	}
	if c.ReadConcurrency < 1 {
		faults = append(faults, errors.New("READ_CONCURRENCY must be at least 1"))
	}
	if c.ReadBytesLimit < 1 {
		faults = append(faults, errors.New("READ_BYTES_LIMIT must be at least 1"))
	}
	return errors.Join(faults...)
}

// answerBytes bounds the answers that their callers are still taking.
func (c config) answerBytes() int64 { return c.ReadBytesLimit * int64(c.ReadConcurrency) }
