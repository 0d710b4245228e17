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

// certificate is the one that the node shows to whoever connects. Each time the
// metrics are read it is looked at anew, where it is served and not in a file.
type certificate struct {
	addr string // of the node's listener
	tls  *tls.Config
	log  *slog.Logger
	ends *prometheus.Desc
}

func newCertificate(addr string, secured *tls.Config, log *slog.Logger) *certificate {
	return &certificate{addr: addr, tls: secured, log: log, ends: prometheus.NewDesc("kafka_certificate_expiry_timestamp_seconds",
		"When clients refuse the certificate that the node shows, or the authority that signed it. Unix time.", nil, nil)}
}

// Describe implements prometheus.Collector.
func (c *certificate) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- c.ends }

// Collect implements prometheus.Collector. Of a node that doesn't answer it
// tells nothing.
func (c *certificate) Collect(metrics chan<- prometheus.Metric) {
	end, err := c.expiry(context.Background(), time.Now())
	if err != nil {
		c.log.Warn("the node's certificate can't be seen", "error", err)
		return
	}
	metric, err := prometheus.NewConstMetric(c.ends, prometheus.GaugeValue, float64(end.Unix()))
	if err != nil {
		c.log.Error("the node's certificate can't be told", "error", err)
		return
	}
	metrics <- metric
}

// expiry is the end of the certificate, or of the authority above it if that is
// sooner. One that is refused already has ended, whatever is written in it.
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
			end = last // another chain goes on after the first has ended
		}
	}
	return end, nil
}

// soonest is when the first of them ends.
func soonest(chain []*x509.Certificate) time.Time {
	end := chain[0].NotAfter
	for _, c := range chain[1:] {
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end
}
