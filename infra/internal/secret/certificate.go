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
)

// certificateLife is long because every renewal restarts all nodes and clients three times.
const certificateLife = 5 * 365 * 24 * time.Hour

// Certificate generates a key and a certificate for these host names, and the certificate authority that signs it, whose
// key is discarded.
func Certificate(commonName string, hosts []string, now time.Time) (Pair, error) {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("generating the authority's key: %w", err)
	}
	root := template(commonName+" authority", now)
	root.IsCA = true
	root.BasicConstraintsValid = true
	root.KeyUsage = x509.KeyUsageCertSign
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, authorityKey.Public(), authorityKey)
	if err != nil {
		return Pair{}, fmt.Errorf("signing the authority: %w", err)
	}

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("generating the key of %q: %w", commonName, err)
	}
	leaf := template(commonName, now)
	leaf.DNSNames = hosts
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	// Nodes are servers for their clients, and clients of one another.
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), authorityKey)
	if err != nil {
		return Pair{}, fmt.Errorf("signing the certificate of %q: %w", commonName, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("encoding the key of %q: %w", commonName, err)
	}
	return Pair{
		Combined:  encodePEM("PRIVATE KEY", keyDER) + encodePEM("CERTIFICATE", leafDER),
		Authority: encodePEM("CERTIFICATE", rootDER),
	}, nil
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
