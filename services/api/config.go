package main

import (
	"errors"
	"fmt"
	"net/url"
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
	Token           envconf.Secret `env:"API_TOKEN" doc:"Token that callers must send, as a bearer token or as the password of HTTP Basic; if empty, no token is needed."`
	AllowInternal   bool           `env:"ALLOW_INTERNAL_TOPICS" envDefault:"false" doc:"Whether topics whose names start with __ are shown and read."`
	ReadTimeout     time.Duration  `env:"READ_TIMEOUT" envDefault:"5s" doc:"Longest time that a request may spend on Kafka."`
	ReadConcurrency int            `env:"READ_CONCURRENCY" envDefault:"4" doc:"How many requests read at once; the others wait."`
	ReadBytesLimit  int64          `env:"READ_BYTES_LIMIT" envDefault:"67108864" doc:"Maximum bytes of records that one request reads, and of its response. Reading takes at most about 6 × READ_CONCURRENCY × READ_BYTES_LIMIT of memory."`

	WayURL httpx.Link `env:"WAY_URL" doc:"Address of the page with the way of a purchase, for browsers, with {id} for its event id, such as http://localhost:8081/shop/way/{id}, or /shop/way/{id} on the same host. The viewer links purchases to it; if empty, it doesn't."`

	TraceURL httpx.Link `env:"TRACE_URL" doc:"Address of a trace for browsers, with {id} for its id, such as http://localhost:16686/trace/{id}. The viewer links records to the trace that they belong to; if empty, it doesn't."`

	MetricsURL string  `env:"METRICS_URL" doc:"Where /system reads the services' metrics, labelled with service and pod: Prometheus' /federate, or the same text from elsewhere; if empty, it shows what the brokers know."`
	Picture    picture `env:"SYSTEM_PICTURE" doc:"Parts and flows that /system draws, as JSON; if empty, those of the default configuration."`
}

// Validate implements envconf.Validator.
func (c config) Validate() error {
	var faults []error
	if !topicName.MatchString(c.DefaultTopic) {
		faults = append(faults, fmt.Errorf("DEFAULT_TOPIC: %q is not a valid topic name", c.DefaultTopic))
	}
	if isInternal(c.DefaultTopic) && !c.AllowInternal {
		faults = append(faults, fmt.Errorf("DEFAULT_TOPIC: %q is an internal topic: set ALLOW_INTERNAL_TOPICS=true, or name another", c.DefaultTopic))
	}
	if c.ReadTimeout <= 0 {
		faults = append(faults, errors.New("READ_TIMEOUT must be greater than 0"))
	}
	if c.ReadConcurrency < 1 {
		faults = append(faults, errors.New("READ_CONCURRENCY must be at least 1"))
	}
	if u, err := url.Parse(c.MetricsURL); c.MetricsURL != "" && (err != nil || u.Host == "") {
		faults = append(faults, fmt.Errorf("METRICS_URL: %q is not a URL such as http://prometheus-server/federate", c.MetricsURL))
	}
	if c.WayURL != "" && !c.WayURL.NamesID() {
		faults = append(faults, fmt.Errorf("WAY_URL: %q has no {id}, which is replaced by the event id", c.WayURL))
	}
	if c.TraceURL != "" && !c.TraceURL.NamesID() {
		faults = append(faults, fmt.Errorf("TRACE_URL: %q has no {id}, which is replaced by the id of the trace", c.TraceURL))
	}
	if c.ReadBytesLimit < 1 {
		faults = append(faults, errors.New("READ_BYTES_LIMIT must be at least 1"))
	}
	return errors.Join(faults...)
}

// answerBytes is the limit on responses that clients are still receiving.
func (c config) answerBytes() int64 { return c.ReadBytesLimit * int64(c.ReadConcurrency) }
