package main

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"shopstream/services/internal/event"
	"shopstream/services/internal/httpx"
	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/otlp"
	"shopstream/services/internal/telemetry"
)

type config struct {
	Addr  httpx.Addr `env:"HTTP_ADDR" envDefault:":3000" doc:"Address to listen on, host:port; the host may be empty."`
	HTTP  httpx.Config
	Log   telemetry.Config
	Trace otlp.Config
	Kafka kafkax.Config

	Topic    string        `env:"TOPIC" envDefault:"orders" doc:"Topic that the events are written to."`
	Event    string        `env:"EVENT" doc:"Type of the events: order or purchase. By default purchase if TOPIC starts with purchases, else order."`
	Interval time.Duration `env:"INTERVAL" envDefault:"5s" doc:"Time between two events; not used if RATE is set."`
	Rate     float64       `env:"RATE" envDefault:"0" doc:"Events per second, may be a fraction. 0: one every INTERVAL."`
	Count    int64         `env:"COUNT" envDefault:"0" doc:"How many events to send before the process ends. 0: endless."`
	Users    int           `env:"USERS" envDefault:"1000" doc:"Number of users that make the purchases; a few of them buy most (Zipf distribution)."`
	Currency string        `env:"CURRENCY" envDefault:"USD" doc:"ISO 4217 code of the purchases' prices."`
}

// maxRate is more than one process can send; a higher value is a typing error.
const maxRate = 10_000_000

// Validate implements envconf.Validator.
func (c config) Validate() error {
	var faults []error
	if c.Topic == "" {
		faults = append(faults, errors.New("TOPIC must not be empty"))
	}
	if c.Event != "" && c.Event != "order" && c.Event != "purchase" {
		faults = append(faults, fmt.Errorf("EVENT must be order or purchase, not %q", c.Event))
	}
	if c.Interval < time.Millisecond {
		faults = append(faults, fmt.Errorf("INTERVAL must be at least 1ms, not %s: use RATE for more", c.Interval))
	}
	if c.Rate < 0 || c.Rate > maxRate || math.IsNaN(c.Rate) {
		faults = append(faults, fmt.Errorf("RATE must be from 0 to %d, not %v", maxRate, c.Rate))
	}
	if c.Count < 0 {
		faults = append(faults, errors.New("COUNT must not be negative"))
	}
	if c.Users < 1 || c.Users > 10_000_000 {
		faults = append(faults, fmt.Errorf("USERS must be from 1 to 10000000, not %d", c.Users))
	}
	if !event.IsCurrency(c.Currency) {
		faults = append(faults, fmt.Errorf("CURRENCY %q is not a currency in use: set its ISO 4217 code in capital letters, such as USD", c.Currency))
	}
	return errors.Join(faults...)
}

// perSecond returns the rate, whether given by RATE or INTERVAL.
func (c config) perSecond() float64 {
	if c.Rate > 0 {
		return c.Rate
	}
	return float64(time.Second) / float64(c.Interval)
}

func (c config) makesPurchases() bool {
	if c.Event != "" {
		return c.Event == "purchase"
	}
	return strings.HasPrefix(c.Topic, "purchases")
}
