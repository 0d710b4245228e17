package kafkax_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/kafkax"
)

// certificate returns a self-signed certificate for 127.0.0.1, and its PEM form.
func certificate(t *testing.T, until time.Time) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kafka"},
		NotBefore: until.AddDate(-1, 0, 0), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// answering returns the address of a broker that sends these responses on each
// connection, whatever the requests, and then closes it.
func answering(t *testing.T, answers ...kmsg.Response) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			buffer := make([]byte, 4096)
			for _, answer := range answers {
				_, _ = conn.Read(buffer)
				body := answer.AppendTo([]byte{0, 0, 0, 1}) // correlation id of the first and only request
				_, _ = conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
			}
			_, _ = conn.Read(buffer)
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

func TestFaultsOfTLSAndAuthenticationAreNamedWithTheirFix(t *testing.T) {
	start := func(opts ...kfake.Opt) string {
		cluster, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		return cluster.ListenAddrs()[0]
	}
	file := func(name string, content []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, goodPEM := certificate(t, time.Now().AddDate(0, 1, 0))
	_, otherPEM := certificate(t, time.Now().AddDate(0, 1, 0))
	old, oldPEM := certificate(t, time.Now().AddDate(0, 0, -1))
	ca, other, expired := file("ca.pem", goodPEM), file("other.pem", otherPEM), file("old.pem", oldPEM)
	listening := func(c tls.Certificate) kfake.Opt {
		return kfake.TLS(&tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12})
	}
	users := []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "shop", "right"), kfake.Superuser("SCRAM-SHA-256", "shop", "right")}
	plain, saslPlain := start(), start(users...)
	secured, stale := start(append(users, listening(good))...), start(append(users, listening(old))...)

	in := kafkax.Config{BootstrapServers: secured, SecurityProtocol: "sasl_ssl", SASLMechanism: "PLAIN", SASLUsername: "shop", SASLPassword: "right", TLSCAFile: ca}
	change := func(changes func(*kafkax.Config)) kafkax.Config {
		c := in
		changes(&c)
		return c
	}
	plaintext := kafkax.Config{SecurityProtocol: "plaintext"}
	at := func(c kafkax.Config, server string) kafkax.Config { c.BootstrapServers = server; return c }
	_, port, _ := net.SplitHostPort(secured)

	handshake := func(err *kerr.Error) kmsg.Response {
		return &kmsg.SASLHandshakeResponse{Version: 1, ErrorCode: err.Code, SupportedMechanisms: []string{"SCRAM-SHA-512"}}
	}
	taken := &kmsg.SASLHandshakeResponse{Version: 1, SupportedMechanisms: []string{"PLAIN"}}
	refused := &kmsg.SASLAuthenticateResponse{ErrorCode: kerr.SaslAuthenticationFailed.Code}
	sasl := change(func(c *kafkax.Config) { c.SecurityProtocol = "sasl_plaintext" })

	tests := map[string]struct {
		config kafkax.Config
		want   string // empty: nothing to explain
	}{
		"all is right":            {in, ""},
		"no security at all":      {at(plaintext, plain), ""},
		"SCRAM is right":          {change(func(c *kafkax.Config) { c.SASLMechanism = "SCRAM-SHA-256" }), ""},
		"SCRAM, a wrong password": {change(func(c *kafkax.Config) { c.SASLMechanism = "SCRAM-SHA-256"; c.SASLPassword = "wrong" }), `rejects user "shop"`},
		"a wrong password":        {change(func(c *kafkax.Config) { c.SASLPassword = "wrong" }), `rejects user "shop": KAFKA_SASL_PASSWORD`},
		"no such user":            {change(func(c *kafkax.Config) { c.SASLUsername = "nobody" }), `rejects user "nobody"`},
		"another authority":       {change(func(c *kafkax.Config) { c.TLSCAFile = other }), "signed by no authority in KAFKA_TLS_CA_FILE"},
		"no file of authorities":  {change(func(c *kafkax.Config) { c.TLSCAFile = "/nowhere" }), "reading KAFKA_TLS_CA_FILE"},
		"an empty file":           {change(func(c *kafkax.Config) { c.TLSCAFile = file("empty", nil) }), "contains no certificate"},
		"another name":            {at(in, "localhost:"+port), "connect by a name that is in the certificate"},
		"an expired certificate":  {at(change(func(c *kafkax.Config) { c.TLSCAFile = expired }), stale), "renew it"},
		"plaintext at a TLS port": {at(plaintext, secured), "speaks TLS, but KAFKA_SECURITY_PROTOCOL is plaintext"},
		"TLS at a plaintext port": {at(in, answering(t)), "doesn't speak TLS, but KAFKA_SECURITY_PROTOCOL is sasl_ssl"},
		"no authentication":       {at(plaintext, saslPlain), "accepts no client without authentication, but KAFKA_SECURITY_PROTOCOL is plaintext"},
		"SASL isn't needed":       {at(sasl, answering(t, handshake(kerr.IllegalSaslState))), "the listener has no authentication"},
		"another mechanism":       {at(sasl, answering(t, handshake(kerr.UnsupportedSaslMechanism))), "doesn't support KAFKA_SASL_MECHANISM PLAIN: set one of SCRAM-SHA-512"},
		"Kafka's own refusal":     {at(sasl, answering(t, taken, refused)), `rejects user "shop"`},
		"nothing listens there":   {at(in, "127.0.0.1:1"), "connection refused"},
		"one of two answers":      {at(in, "127.0.0.1:1,"+secured), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.config.Explain(t.Context())
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got the explanation %v, want none", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("the explanation lacks %q: %v", tt.want, err)
			}
		})
	}
}
