// Package kafkax is the Kafka part that all services share: the typed
// configuration and settings of the clients, the acknowledged producer, the group
// member, the reader of partitions, dead letters, consumer lag and health checks.
package kafkax

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"shopstream/services/internal/envconf"
)

// Config says how to reach Kafka, and how to authenticate.
type Config struct {
	BootstrapServers string         `env:"KAFKA_BOOTSTRAP_SERVERS,required,notEmpty" doc:"Kafka brokers to connect to first, host:port, comma separated."`
	SecurityProtocol string         `env:"KAFKA_SECURITY_PROTOCOL" envDefault:"plaintext" doc:"plaintext, ssl, sasl_plaintext or sasl_ssl."`
	SASLMechanism    string         `env:"KAFKA_SASL_MECHANISM" doc:"PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; with a sasl_* protocol."`
	SASLUsername     string         `env:"KAFKA_SASL_USERNAME" doc:"SASL username; with a sasl_* protocol."`
	SASLPassword     envconf.Secret `env:"KAFKA_SASL_PASSWORD" doc:"SASL password; with a sasl_* protocol."`
	TLSCAFile        string         `env:"KAFKA_TLS_CA_FILE" doc:"PEM file with the certificate authorities that sign the brokers' certificates; those of the system if empty."`
	TLSCertFile      string         `env:"KAFKA_TLS_CERT_FILE" doc:"PEM file with the client's certificate, if the brokers require one."`
	TLSKeyFile       string         `env:"KAFKA_TLS_KEY_FILE" doc:"PEM file with the client's private key."`
	Rack             string         `env:"KAFKA_CLIENT_RACK" doc:"Rack (zone) that this process runs in: consumers read from a replica there if the brokers allow it."`
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
		faults = append(faults, errors.New("KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE must be set together"))
	}
	return errors.Join(faults...)
}
