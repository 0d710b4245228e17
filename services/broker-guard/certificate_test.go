package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// What counts is when clients begin to refuse the node.
func TestTheExpiryIsTheOneThatClientsMeet(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	day := 24 * time.Hour
	for name, test := range map[string]struct {
		leaf, authority time.Duration // until the end
		foreign         bool          // signed by an authority that isn't trusted
		want            time.Duration
	}{
		"the certificate's own":     {leaf: 20 * day, authority: 90 * day, want: 20 * day},
		"its authority's":           {leaf: 20 * day, authority: 10 * day, want: 10 * day},
		"over already":              {leaf: -day, authority: 90 * day, want: -day},
		"its authority's is over":   {leaf: 20 * day, authority: -day, want: 0},
		"of an untrusted authority": {leaf: 20 * day, authority: 90 * day, foreign: true, want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			shown, signer := issued(t, now.Add(test.leaf), now.Add(test.authority))
			if test.foreign {
				_, signer = issued(t, now.Add(test.leaf), now.Add(test.authority))
			}
			trusted := x509.NewCertPool()
			trusted.AddCert(signer)
			c := newCertificate(listening(t, shown), &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}, slog.New(slog.DiscardHandler))
			end, err := c.expiry(t.Context(), now)
			if err != nil {
				t.Fatal(err)
			}
			if want := now.Add(test.want); !end.Equal(want) {
				t.Errorf("it ends %s, want %s", end, want)
			}
		})
	}
}

func TestThereIsNoExpiryWhileTheNodeDoesNotAnswer(t *testing.T) {
	var log strings.Builder
	c := newCertificate("127.0.0.1:1", &tls.Config{MinVersion: tls.VersionTLS12}, slog.New(slog.NewTextHandler(&log, nil)))
	if count := testutil.CollectAndCount(c); count != 0 || !strings.Contains(log.String(), "connection refused") {
		t.Errorf("%d metrics; the log says %q", count, log.String())
	}
}

// issued returns a certificate for 127.0.0.1 and the authority that signed it.
func issued(t *testing.T, leafEnd, authorityEnd time.Time) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now().AddDate(-1, 0, 0)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: start, NotAfter: authorityEnd,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kafka"}, NotBefore: start, NotAfter: leafEnd,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	leafDER, leafErr := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), key)
	authority, parseErr := x509.ParseCertificate(rootDER)
	if err := errors.Join(err, leafErr, parseErr); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key}, authority
}

// listening serves TLS handshakes until the test ends.
func listening(t *testing.T, shown tls.Certificate) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{shown}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = conn.Read(make([]byte, 1)) // which shakes hands
				_ = conn.Close()
			}()
		}
	}()
	return listener.Addr().String()
}
