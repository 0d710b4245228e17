package main

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"shopstream/services/internal/event"
	"shopstream/services/internal/httpx"
	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/otlp"
	"shopstream/services/internal/telemetry"
	"shopstream/services/internal/trace"
)

type config struct {
	Addr  httpx.Addr `env:"HTTP_ADDR" envDefault:":8081" doc:"Address to listen on, host:port; the host may be empty."`
	HTTP  httpx.Config
	Log   telemetry.Config
	Trace otlp.Config
	Kafka kafkax.Config

	Places places

	PurchasesTopic   string        `env:"PURCHASES_TOPIC" envDefault:"purchases" doc:"Topic that purchases are written to, keyed by userid."`
	ManagementAPIURL string        `env:"MANAGEMENT_API_URL,required,notEmpty" doc:"Base URL of management-api, such as http://management-api:8080."`
	Currency         string        `env:"CURRENCY" envDefault:"USD" doc:"Currency of the shop: the ISO 4217 code, in capital letters, of one that is in use."`
	AckTimeout       time.Duration `env:"ACK_TIMEOUT" envDefault:"4s" doc:"How long a buy waits for Kafka's acknowledgement before it is answered 503. Shorter than SHUTDOWN_TIMEOUT."`
	MaxPending       int           `env:"MAX_PENDING" envDefault:"2000" doc:"How many purchases may wait for their acknowledgement at once; any more are answered 503 immediately."`
}

// Validate implements envconf.Validator.
func (c config) Validate() error {
	var faults []error
	if err := checkBaseURL(c.ManagementAPIURL); err != nil {
		faults = append(faults, fmt.Errorf("MANAGEMENT_API_URL: %w", err))
	}
	if c.PurchasesTopic == "" {
		faults = append(faults, errors.New("PURCHASES_TOPIC must not be empty"))
	}
	if !event.IsCurrency(c.Currency) {
		faults = append(faults, fmt.Errorf("CURRENCY %q is not a currency in use: set its ISO 4217 code in capital letters, such as USD", c.Currency))
	}
	if c.AckTimeout < 100*time.Millisecond {
		faults = append(faults, fmt.Errorf("ACK_TIMEOUT must be at least 100ms, not %s", c.AckTimeout))
	}
	// Otherwise a shutdown would cut off buys that are still waiting.
	if c.AckTimeout >= c.HTTP.ShutdownTimeout {
		faults = append(faults, fmt.Errorf("ACK_TIMEOUT (%s) must be shorter than SHUTDOWN_TIMEOUT (%s)", c.AckTimeout, c.HTTP.ShutdownTimeout))
	}
	if c.MaxPending < 1 || c.MaxPending > 1_000_000 {
		faults = append(faults, fmt.Errorf("MAX_PENDING must be from 1 to 1000000, not %d", c.MaxPending))
	}
	return errors.Join(faults...)
}

// checkBaseURL requires a URL to which a path can be appended.
func checkBaseURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return err
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return fmt.Errorf("%q is not an http or https URL with a host", text)
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return fmt.Errorf("%q must have no user, query or fragment", u.Redacted())
	}
	return nil
}

func (c config) producer(tracer *trace.Tracer) kafkax.ProducerConfig {
	return kafkax.ProducerConfig{
		Topics: []string{c.PurchasesTopic}, AckTimeout: c.AckTimeout, MaxPending: c.MaxPending, Linger: linger, Tracer: tracer,
	}
}
