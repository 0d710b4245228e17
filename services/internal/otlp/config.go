package otlp

import (
	"errors"
	"fmt"
	"net/url"
)

// Config says where spans are sent, and how many. The variables have the names and
// meanings of OpenTelemetry's specification.
type Config struct {
	Endpoint string  `env:"OTEL_EXPORTER_OTLP_ENDPOINT" doc:"Base URL of the OpenTelemetry collector that gets the traces, by OTLP over HTTP, such as http://collector:4318. Empty: nothing is traced."`
	Sampling float64 `env:"OTEL_TRACES_SAMPLER_ARG" envDefault:"1" doc:"Share of the traces that start here and are recorded, from 0 to 1. A request or record that belongs to a trace already follows its decision."`
}

// Validate implements envconf.Validator.
func (c Config) Validate() error {
	var faults []error
	if c.Endpoint != "" {
		if err := checkEndpoint(c.Endpoint); err != nil {
			faults = append(faults, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err))
		}
	}
	if !(c.Sampling >= 0 && c.Sampling <= 1) { // not a number is neither
		faults = append(faults, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG must be from 0 to 1, not %v", c.Sampling))
	}
	return errors.Join(faults...)
}

func checkEndpoint(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return err
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return fmt.Errorf("%q is not an http or https URL with a host", u.Redacted())
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return fmt.Errorf("%q must have no user, query or fragment", u.Redacted())
	}
	return nil
}
