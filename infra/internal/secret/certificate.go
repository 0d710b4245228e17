package secret

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// certificateLife is long because nothing renews a generated certificate. A stack that needs renewal sets a certificate of
// its own: docs/decisions/0007-own-secrets-and-certificate.md.
const certificateLife = 5 * 365 * 24 * time.Hour

// Certificate generates a key and a certificate for these host names, and the certificate authority that signs it, whose
// key is discarded. Like a generated value, the first one is kept.
//
// Combined is the key followed by the certificate; authority is the certificate that clients verify it with.
func Certificate(commonName string, hosts []string, now time.Time) (combined, authority Value, err error) {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Value{}, Value{}, fmt.Errorf("generating the authority's key: %w", err)
	}
	root := template(commonName+" authority", now)
	root.IsCA = true
	root.BasicConstraintsValid = true
	root.KeyUsage = x509.KeyUsageCertSign
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, authorityKey.Public(), authorityKey)
	if err != nil {
		return Value{}, Value{}, fmt.Errorf("signing the authority: %w", err)
	}

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Value{}, Value{}, fmt.Errorf("generating the key of %q: %w", commonName, err)
	}
	leaf := template(commonName, now)
	leaf.DNSNames = hosts
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	// Nodes are servers for their clients, and clients of one another.
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), authorityKey)
	if err != nil {
		return Value{}, Value{}, fmt.Errorf("signing the certificate of %q: %w", commonName, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Value{}, Value{}, fmt.Errorf("encoding the key of %q: %w", commonName, err)
	}
	return once(encodePEM("PRIVATE KEY", keyDER) + encodePEM("CERTIFICATE", leafDER)), once(encodePEM("CERTIFICATE", rootDER)), nil
}

func template(commonName string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		// The two certificates of one call differ in their names, which is enough for a chain of two.
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: commonName},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(certificateLife),
	}
}

func encodePEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func once(text string) Value { return Value{text: pulumi.String(text), once: true} }
