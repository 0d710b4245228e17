package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// Secrets are the values of Secrets, by name and key.
type Secrets map[string]map[string]string

// DeclaredSecrets returns the Secrets in a file of manifests, with the placeholders of
// their values.
func DeclaredSecrets(data []byte) Secrets {
	secrets := Secrets{}
	_ = declarations(data, func(d declaration) bool {
		if d.Kind == "Secret" {
			secrets[d.Metadata.Name] = d.StringData
		}
		return false // read to the end of the file
	})
	return secrets
}

// Names of the Secrets that the brokers read, as infra names them.
const (
	usersSecret       = "kafka-users"
	certificateSecret = "kafka-certificate"
	combinedKey       = "tls-combined.pem"
	authorityKey      = "ca.crt"

	// NodeName is the common name in the certificates with which nodes authenticate to each
	// other.
	NodeName = "kafka"
	// AdminUser is the super user.
	AdminUser = "admin"
)

// Fill sets the values of every declared Secret: a password for each user, the same in all
// Secrets, the nodes' certificate, and its certificate authority.
func (s Secrets) Fill(authority *Authority, combined string) error {
	for user := range s[usersSecret] {
		raw := make([]byte, 16)
		if _, err := rand.Read(raw); err != nil {
			return fmt.Errorf("making a password: %w", err)
		}
		s[usersSecret][user] = hex.EncodeToString(raw)
	}
	for name, values := range s {
		for key := range values {
			if password, ok := s[usersSecret][key]; ok && name != usersSecret {
				values[key] = password
			}
		}
	}
	if s[certificateSecret] == nil || s[usersSecret] == nil {
		return errors.New("the manifests declare no secured brokers")
	}
	maps.Copy(s, s.WithCertificate(combined, authority.PEM()))
	return nil
}

// WithCertificate returns a copy of the Secrets with another key and certificate
// for the nodes, and other authorities.
func (s Secrets) WithCertificate(combined, authorities string) Secrets {
	changed := Secrets{}
	for name, values := range s {
		changed[name] = maps.Clone(values)
		if _, ok := values[authorityKey]; ok {
			changed[name][authorityKey] = authorities
		}
	}
	changed[certificateSecret][combinedKey] = combined
	return changed
}

// Mount writes the files that a node reads from the Secrets when it starts.
func (c *Cluster) Mount(i int, secrets Secrets) error {
	_, err := c.options.Manifest.environment(i, secrets, c.nodes[i].dir)
	return err
}

// Password returns a user's password.
func (s Secrets) Password(user string) string { return s[usersSecret][user] }

// As returns client options that authenticate as a user, and check the brokers'
// certificates.
func (s Secrets) As(user string) []kgo.Opt {
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM([]byte(s[certificateSecret][authorityKey]))
	return []kgo.Opt{
		kgo.DialTLSConfig(&tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}),
		kgo.SASL(plain.Auth{User: user, Pass: s.Password(user)}.AsMechanism()),
	}
}

// SetClientCertificate changes the key and certificate that clients are shown; if empty,
// back to the node's own. Nodes keep using theirs among themselves, as existing
// connections do when a certificate expires.
func (c *Cluster) SetClientCertificate(ctx context.Context, combined string) error {
	// A client that refuses the certificate couldn't change it, so this one doesn't check it.
	client, err := kgo.NewClient(append(c.options.Secrets.As(AdminUser), kgo.SeedBrokers(c.Address(0)),
		kgo.DialTLSConfig(&tls.Config{InsecureSkipVerify: true}))...)
	if err != nil {
		return fmt.Errorf("connecting to the brokers: %w", err)
	}
	defer client.Close()
	for i, n := range c.nodes {
		before, err := c.shown(ctx, i)
		if err != nil {
			return err
		}
		path := filepath.Join(n.dir, "clients.pem")
		if err := os.WriteFile(path, []byte(combined), 0o600); err != nil {
			return fmt.Errorf("writing a certificate: %w", err)
		}
		change := func(key, value string) kadm.AlterConfig {
			if combined == "" {
				return kadm.AlterConfig{Op: kadm.DeleteConfig, Name: "listener.name.client.ssl.keystore." + key}
			}
			return kadm.AlterConfig{Op: kadm.SetConfig, Name: "listener.name.client.ssl.keystore." + key, Value: &value}
		}
		changed, err := kadm.NewClient(client).AlterBrokerConfigs(ctx, []kadm.AlterConfig{change("type", "PEM"), change("location", path)}, int32(i))
		if err != nil {
			return fmt.Errorf("changing node %d's certificate: %w", i, err)
		}
		for _, answer := range changed {
			if answer.Err != nil {
				return fmt.Errorf("changing node %d's certificate: %w: %s", i, answer.Err, answer.ErrMessage)
			}
		}
		err = c.await(ctx, "the new certificate", func(context.Context, *kgo.Client) error {
			now, err := c.shown(ctx, i)
			if err == nil && now.Equal(before) {
				err = fmt.Errorf("node %d still shows the old one", i)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// shown returns the certificate that a node shows to clients.
func (c *Cluster) shown(ctx context.Context, i int) (*x509.Certificate, error) {
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // it is inspected, not trusted
	conn, err := dialer.DialContext(ctx, "tcp", c.Address(i))
	if err != nil {
		return nil, fmt.Errorf("reading node %d's certificate: %w", i, err)
	}
	defer conn.Close()
	secured, ok := conn.(*tls.Conn)
	if !ok {
		return nil, fmt.Errorf("reading node %d's certificate: %T shows none", i, conn)
	}
	return secured.ConnectionState().PeerCertificates[0], nil
}

// Authority signs certificates.
type Authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

// NewAuthority creates a certificate authority.
func NewAuthority(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the authority's key: %w", err)
	}
	now := time.Now()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing the authority: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the authority: %w", err)
	}
	return &Authority{key, certificate}, nil
}

// PEM returns the authority's certificate, for clients that trust it.
func (a *Authority) PEM() string { return encode("CERTIFICATE", a.certificate.Raw) }

// Issue creates a node's key and certificate for a host name or address.
func (a *Authority) Issue(host string, until time.Time) (combined string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("making a key: %w", err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: NodeName},
		NotBefore: until.AddDate(-1, 0, 0), NotAfter: until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		leaf.IPAddresses = []net.IP{ip}
	} else {
		leaf.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.certificate, key.Public(), a.key)
	if err != nil {
		return "", fmt.Errorf("signing a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("encoding a key: %w", err)
	}
	return encode("PRIVATE KEY", private) + encode("CERTIFICATE", der), nil
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
