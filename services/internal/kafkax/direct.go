package kafkax

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Direct returns a client for single requests of Kafka's protocol. It connects on
// the first request.
func (c Config) Direct(clientID string, more ...kgo.Opt) (*kgo.Client, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(strings.ReplaceAll(c.BootstrapServers, " ", ""), ",")...),
		kgo.ClientID(clientID),
		kgo.DialTimeout(dialTimeout),
		kgo.RequestTimeoutOverhead(silence),
		kgo.DisableClientMetrics(), // metrics are scraped from the service
	}
	if strings.HasSuffix(c.SecurityProtocol, "ssl") {
		settings, err := c.tlsConfig()
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.DialTLSConfig(settings))
	}
	if login := c.login(); login != nil {
		options = append(options, kgo.SASL(login))
	}
	client, err := kgo.NewClient(append(options, more...)...)
	if err != nil {
		return nil, fmt.Errorf("creating a client: %w", err)
	}
	return client, nil
}

// login returns how a client authenticates; nil means that it doesn't.
func (c Config) login() sasl.Mechanism {
	user, password := c.SASLUsername, c.SASLPassword.Reveal()
	switch c.SASLMechanism {
	case "PLAIN":
		return plain.Auth{User: user, Pass: password}.AsMechanism()
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism()
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism()
	}
	return nil
}

// tlsConfig returns the client's certificate, and the certificate authorities that
// the brokers' certificates are checked against.
func (c Config) tlsConfig() (*tls.Config, error) {
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLSCAFile != "" {
		authorities, err := os.ReadFile(c.TLSCAFile)
		if err != nil {
			return nil, fmt.Errorf("%w: reading KAFKA_TLS_CA_FILE: %w", ErrRefused, err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, refusal("KAFKA_TLS_CA_FILE (%s) contains no certificate: it must be in PEM format", c.TLSCAFile)
		}
	}
	if c.TLSCertFile != "" {
		own, err := tls.LoadX509KeyPair(c.TLSCertFile, c.TLSKeyFile)
		if err != nil {
			return nil, fmt.Errorf("%w: reading KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE: %w", ErrRefused, err)
		}
		settings.Certificates = []tls.Certificate{own}
	}
	return settings, nil
}
