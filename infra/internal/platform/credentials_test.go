package platform

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/plan"
)

// signed returns a certificate, with changes, and the new authority that has signed it.
func signed(t *testing.T, now time.Time, change func(*x509.Certificate)) (combined, authority string) {
	t.Helper()
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	must := func(der []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(9, 0, 0), IsCA: true, BasicConstraintsValid: true,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: kafka.NodeName},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0), DNSNames: kafka.Hosts(plan.DataNamespace, "cluster.local"),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	change(leaf)
	return encode("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))) +
			encode("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), key))),
		encode("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)))
}

func TestAGivenCertificateMustSuitNodesAndClients(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	c, err := config.Defaults(config.Production)
	if err != nil {
		t.Fatal(err)
	}
	fine, authority := signed(t, now, func(*x509.Certificate) {})
	_, other := signed(t, now, func(c *x509.Certificate) { c.Subject.CommonName = "other" })
	with := func(change func(*x509.Certificate)) config.Secrets {
		combined, authority := signed(t, now, change)
		return config.Secrets{KafkaCertificate: combined, KafkaAuthority: authority}
	}
	key, certificate, _ := strings.Cut(fine, "-----BEGIN CERTIFICATE")
	for name, test := range map[string]struct {
		secrets config.Secrets
		want    string
	}{
		"as it should be":      {config.Secrets{KafkaCertificate: fine, KafkaAuthority: authority}, ""},
		"two authorities":      {config.Secrets{KafkaCertificate: fine, KafkaAuthority: other + authority}, ""},
		"no PEM":               {config.Secrets{KafkaCertificate: "x", KafkaAuthority: authority}, "kafkaCertificate: is not a private key followed by its certificate"},
		"no key":               {config.Secrets{KafkaCertificate: "-----BEGIN CERTIFICATE" + certificate, KafkaAuthority: authority}, "is not a private key"},
		"the key at the end":   {config.Secrets{KafkaCertificate: "-----BEGIN CERTIFICATE" + certificate + key, KafkaAuthority: authority}, "doesn't begin with a private key"},
		"an authority of none": {config.Secrets{KafkaCertificate: fine, KafkaAuthority: "x"}, "kafkaAuthority: is not a certificate"},
		"another authority":    {config.Secrets{KafkaCertificate: fine, KafkaAuthority: other}, "would be refused"},
		"expired":              {with(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }), "would be refused"},
		"servers only":         {with(func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] }), "would be refused"},
		"another common name":  {with(func(c *x509.Certificate) { c.Subject.CommonName = "broker" }), `has the subject "CN=broker"`},
		"a longer name":        {with(func(c *x509.Certificate) { c.Subject.Organization = []string{"shop"} }), `nodes authenticate one another as CN=kafka`},
		"not every name":       {with(func(c *x509.Certificate) { c.DNSNames = c.DNSNames[:1] }), "is not valid for the host name *.kafka-nodes.shop-data.svc.cluster.local"},
	} {
		t.Run(name, func(t *testing.T) {
			err := errors.Join(plan.CheckCredentials(c, test.secrets, now)...)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("the faults do not say %q: %v", test.want, err)
			}
		})
	}
}

// TestGivenCredentialsReachTheBrokers: a password or a certificate that the stack sets is in the Secrets, and a change of
// it restarts the nodes.
func TestGivenCredentialsReachTheBrokers(t *testing.T) {
	combined, authority := signed(t, time.Now(), func(*x509.Certificate) {})
	stack := testStack{file: "prod", settings: map[string]string{
		"apiToken": "0123456789abcdef", "kafkaCertificate": combined, "kafkaAuthority": authority,
		"kafkaPasswords": `{"api": "0123456789abcdefX"}`,
	}}
	annotation := func(workload string) string {
		for _, p := range podTemplates(t, stack.run(t)) {
			if p.name == workload {
				return p.meta.Annotations["shopstream/secret-checksum"]
			}
		}
		return ""
	}
	before := annotation(kafka.Name)
	if before == "" || before != annotation(kafka.Name) {
		t.Error("the same credentials start the nodes anew")
	}
	stack.settings["kafkaPasswords"] = `{"api": "0123456789abcdefY"}`
	if before == annotation(kafka.Name) {
		t.Error("another password doesn't start the nodes anew")
	}
	trusting := annotation(plan.WebServer)
	_, another := signed(t, time.Now(), func(*x509.Certificate) {})
	stack.settings["kafkaAuthority"] += another
	if trusting == annotation(plan.WebServer) {
		t.Error("another authority doesn't start the services anew, which read it when they start")
	}
	c, secrets := stack.parsed(t)
	if passwords, err := plan.KafkaPasswords(secrets); err != nil || passwords[plan.API] != "0123456789abcdefY" {
		t.Errorf("passwords %v, %v", len(passwords), err)
	}
	if err := plan.Check(c, secrets, false); err != nil {
		t.Error(err)
	}
}
