package secret

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"
)

func TestCertificate(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	made, err := Certificate("kafka", []string{"kafka.data.svc", "*.kafka-nodes.data.svc"}, now)
	if err != nil {
		t.Fatal(err)
	}

	pair, err := tls.X509KeyPair([]byte(made.Combined), []byte(made.Combined))
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(made.Authority)) {
		t.Fatal("the authority is no certificate")
	}
	for host, trusted := range map[string]bool{
		"kafka.data.svc": true, "kafka-0.kafka-nodes.data.svc": true, "mongodb.data.svc": false,
	} {
		_, err := leaf.Verify(x509.VerifyOptions{
			DNSName: host, Roots: roots, CurrentTime: now.Add(24 * time.Hour),
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})
		if (err == nil) != trusted {
			t.Errorf("%s: trusted %v, want %v: %v", host, err == nil, trusted, err)
		}
	}
	// The brokers' super user has exactly this name.
	if got := leaf.Subject.String(); got != "CN=kafka" {
		t.Errorf("subject %q", got)
	}
}
