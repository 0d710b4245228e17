// Package kafkax is the Kafka side that all services share: a typed client
// configuration, the acknowledged producer, dead letters, consumer lag, and
// librdkafka's logs as the service's own.
package kafkax

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"shopstream/services/internal/envconf"
)

// Config says where Kafka is and how to authenticate.
type Config struct {
	BootstrapServers string         `env:"KAFKA_BOOTSTRAP_SERVERS,required,notEmpty" doc:"Kafka brokers to start from, host:port, comma separated."`
	SecurityProtocol string         `env:"KAFKA_SECURITY_PROTOCOL" envDefault:"plaintext" doc:"plaintext, ssl, sasl_plaintext or sasl_ssl."`
	SASLMechanism    string         `env:"KAFKA_SASL_MECHANISM" doc:"PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; with a sasl_* protocol."`
	SASLUsername     string         `env:"KAFKA_SASL_USERNAME" doc:"User name; with a sasl_* protocol."`
	SASLPassword     envconf.Secret `env:"KAFKA_SASL_PASSWORD" doc:"Password; with a sasl_* protocol."`
	TLSCAFile        string         `env:"KAFKA_TLS_CA_FILE" doc:"PEM file with the authorities that sign the brokers' certificates; the system's when empty."`
	TLSCertFile      string         `env:"KAFKA_TLS_CERT_FILE" doc:"PEM file with the client's certificate, where brokers ask for one."`
	TLSKeyFile       string         `env:"KAFKA_TLS_KEY_FILE" doc:"PEM file with the client's private key."`
	Rack             string         `env:"KAFKA_CLIENT_RACK" doc:"Rack (zone) that this process runs in: consumers read from a replica there if the brokers choose so."`
}

// Validate implements envconf.Validator.
func (c Config) Validate() error {
	var faults []error
	for _, server := range strings.Split(c.BootstrapServers, ",") {
		if _, port, err := net.SplitHostPort(strings.TrimSpace(server)); err != nil || port == "" {
			faults = append(faults, fmt.Errorf("KAFKA_BOOTSTRAP_SERVERS: %q is not host:port", server))
		}
	}
	switch c.SecurityProtocol {
	case "plaintext", "ssl":
		if c.SASLMechanism != "" || c.SASLUsername != "" || c.SASLPassword != "" {
			faults = append(faults, fmt.Errorf("KAFKA_SASL_* needs KAFKA_SECURITY_PROTOCOL sasl_plaintext or sasl_ssl, not %q", c.SecurityProtocol))
		}
	case "sasl_plaintext", "sasl_ssl":
		switch c.SASLMechanism {
		case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
		default:
			faults = append(faults, fmt.Errorf("KAFKA_SASL_MECHANISM must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, not %q", c.SASLMechanism))
		}
		if c.SASLUsername == "" || c.SASLPassword == "" {
			faults = append(faults, errors.New("KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD are required with a sasl_* protocol"))
		}
	default:
		faults = append(faults, fmt.Errorf("KAFKA_SECURITY_PROTOCOL must be plaintext, ssl, sasl_plaintext or sasl_ssl, not %q", c.SecurityProtocol))
	}
	if (c.TLSCertFile == "") != (c.TLSKeyFile == "") {
		faults = append(faults, errors.New("KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE go together"))
	}
	return errors.Join(faults...)
}
