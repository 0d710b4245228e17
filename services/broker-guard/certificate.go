package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// certificate exports when the node's certificate expires. At each scrape it reads the
// certificate from the node's listener, as clients see it, and not from a file.
type certificate struct {
	addr string // of the node's listener
	tls  *tls.Config
	log  *slog.Logger
	ends *prometheus.Desc
}

func newCertificate(addr string, secured *tls.Config, log *slog.Logger) *certificate {
	return &certificate{addr: addr, tls: secured, log: log, ends: prometheus.NewDesc("kafka_certificate_expiry_timestamp_seconds",
		"Unix time at which the node's certificate or its certificate authority expires, whichever is sooner.", nil, nil)}
}

// Describe implements prometheus.Collector.
func (c *certificate) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- c.ends }

// Collect implements prometheus.Collector. There is no metric while the node doesn't
// answer.
func (c *certificate) Collect(metrics chan<- prometheus.Metric) {
	end, err := c.expiry(context.Background(), time.Now())
	if err != nil {
		c.log.Warn("reading the node's certificate", "error", err)
		return
	}
	metric, err := prometheus.NewConstMetric(c.ends, prometheus.GaugeValue, float64(end.Unix()))
	if err != nil {
		c.log.Error("exporting the expiry of the node's certificate", "error", err)
		return
	}
	metrics <- metric
}

// expiry returns when the certificate or its authority expires, whichever is sooner. If
// the certificate is already refused for another reason, that is now.
func (c *certificate) expiry(ctx context.Context, now time.Time) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	conn, err := (&tls.Dialer{Config: c.tls}).DialContext(ctx, "tcp", c.addr)
	var refused *tls.CertificateVerificationError
	if errors.As(err, &refused) {
		if end := soonest(refused.UnverifiedCertificates); end.Before(now) {
			return end, nil
		}
		return now, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("connecting to the node: %w", err)
	}
	defer func() { _ = conn.Close() }()
	secured, ok := conn.(*tls.Conn)
	if !ok {
		return time.Time{}, fmt.Errorf("connecting to the node: %T shows no certificate", conn)
	}
	var end time.Time
	for _, chain := range secured.ConnectionState().VerifiedChains {
		if last := soonest(chain); last.After(end) {
			end = last // another chain is valid for longer
		}
	}
	return end, nil
}

// soonest returns when the first certificate of a chain expires.
func soonest(chain []*x509.Certificate) time.Time {
	end := chain[0].NotAfter
	for _, c := range chain[1:] {
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end
}
