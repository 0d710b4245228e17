package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/label"
	"shopstream/infra/internal/namespace"
	"shopstream/infra/internal/pod"
	"shopstream/infra/internal/scale"
	"shopstream/infra/internal/secret"
)

// declareCredentials makes what nodes and clients of a secured Kafka know each other by: in the brokers' namespace all
// of it, in the services' only what clients need. What is made up is made up once, in the brokers' namespace, and
// copied from there as the cluster has it.
func (p platform) declareCredentials(
	ctx *pulumi.Context, namespaces map[string]*namespace.Namespace, d *data, opts ...pulumi.ResourceOption,
) error {
	if !p.config.Kafka.Secure {
		return nil
	}
	broker, shop := namespaces[dataNamespace], namespaces[appNamespace]
	newSecret := func(ns *namespace.Namespace, name string, values map[string]secret.Value) (*secret.Secret, error) {
		return secret.New(ctx, name, label.Meta(name, ns.Ref, label.Standard(name, "credentials")), values, opts...)
	}

	given, err := p.secrets.passwords()
	if err != nil {
		return err
	}
	passwords := map[string]secret.Value{}
	for _, user := range p.config.users() {
		if given[user] != "" {
			passwords[user] = secret.Given(pulumi.String(given[user]))
			continue
		}
		password, err := secret.Generated(p.world.random, 24)
		if err != nil {
			return err
		}
		passwords[user] = password
	}
	users, err := newSecret(broker, kafka.CredentialsSecret, passwords)
	if err != nil {
		return err
	}

	node, authority, err := p.certificate()
	if err != nil {
		return err
	}
	certificate, err := newSecret(broker, kafka.CertificateSecret, map[string]secret.Value{
		kafka.CombinedKey: node, kafka.AuthorityKey: authority,
	})
	if err != nil {
		return err
	}

	copies := map[string]secret.Value{
		usernameKey:   secret.Given(pulumi.String(kedaUser)),
		scale.SASLKey: secret.Given(pulumi.String("plaintext")),
		scale.TLSKey:  secret.Given(pulumi.String("enable")),
	}
	for _, user := range p.config.clients() {
		copies[user] = users.Value(user)
	}
	if d.kafkaSecret, err = newSecret(shop, kafkaSecret, copies); err != nil {
		return err
	}
	trusted, err := newSecret(shop, kafkaAuthority, map[string]secret.Value{
		kafka.AuthorityKey: certificate.Value(kafka.AuthorityKey),
	})
	if err != nil {
		return err
	}
	admin, err := newSecret(shop, kafkaAdminSecret, map[string]secret.Value{kafka.Admin: users.Value(kafka.Admin)})
	if err != nil {
		return err
	}
	d.kafkaFiles = []pod.File{kafka.Authority(kafkaAuthority)}
	read := []*secret.Secret{users}
	d.kafkaRead = []*secret.Secret{d.kafkaSecret}
	if p.secrets.KafkaCertificate != "" { // one that is made stays as it is
		read = append(read, certificate)
		d.kafkaRead = append(d.kafkaRead, trusted)
	}
	d.kafkaChecksum = secret.Checksum(read...)
	d.ready = []pulumi.Resource{users, certificate, d.kafkaSecret, admin, trusted}
	return nil
}

// usernameKey is where KEDA's user name stands; the services get theirs in the environment.
const usernameKey = "keda-username"

// certificate returns the nodes' key and certificate, and who signed it: the stack's own, or one made for it.
func (p platform) certificate() (node, authority secret.Value, err error) {
	if p.secrets.KafkaCertificate != "" {
		return secret.Given(pulumi.String(p.secrets.KafkaCertificate)), secret.Given(pulumi.String(p.secrets.KafkaAuthority)), nil
	}
	hosts := kafka.Hosts(dataNamespace, p.config.Cluster.Domain)
	return secret.Certificate(kafka.NodeName, hosts, time.Now())
}

// passwords returns the given passwords by user.
func (s Secrets) passwords() (map[string]string, error) {
	if s.KafkaPasswords == "" {
		return nil, nil
	}
	var passwords map[string]string
	if err := json.Unmarshal([]byte(s.KafkaPasswords), &passwords); err != nil {
		// Not the error itself, which may quote a password.
		return nil, errors.New("kafkaPasswords: is no JSON object of passwords by user")
	}
	return passwords, nil
}

// validateCredentials finds in given credentials what would keep the brokers from starting, or clients from coming in.
func (c Config) validateCredentials(s Secrets, now time.Time) []error {
	var faults []error
	for _, given := range []struct{ key, value string }{
		{"kafkaCertificate", s.KafkaCertificate}, {"kafkaAuthority", s.KafkaAuthority}, {"kafkaPasswords", s.KafkaPasswords},
	} {
		if given.value != "" && !c.Kafka.Secure {
			faults = append(faults, fault(given.key, "is set, and kafka.secure is not: set it to true, or remove what is set"))
		}
	}
	passwords, err := s.passwords()
	if err != nil {
		faults = append(faults, err)
	}
	for _, user := range slices.Sorted(maps.Keys(passwords)) {
		faults = append(faults, oneOf("kafkaPasswords", user, c.users()...)...)
		if !strongPassword.MatchString(passwords[user]) {
			faults = append(faults, fault("kafkaPasswords",
				"that of %q stands in the brokers' settings as it is: use 16 letters and digits or more, and nothing else", user))
		}
	}
	switch {
	case (s.KafkaCertificate == "") != (s.KafkaAuthority == ""):
		faults = append(faults, fault("kafkaCertificate", "goes together with kafkaAuthority: set both, or neither"))
	case s.KafkaCertificate != "":
		faults = append(faults, c.validateCertificate(s, now)...)
	}
	return faults
}

var strongPassword = regexp.MustCompile(`^[a-zA-Z0-9]{16,}$`)

// validateCertificate looks at a given certificate as nodes and clients will.
func (c Config) validateCertificate(s Secrets, now time.Time) []error {
	pair, err := tls.X509KeyPair([]byte(s.KafkaCertificate), []byte(s.KafkaCertificate))
	if err != nil {
		return []error{fault("kafkaCertificate", "is no key with its certificate, both PEM: %v", err)}
	}
	if !strings.HasPrefix(strings.TrimSpace(s.KafkaCertificate), "-----BEGIN PRIVATE KEY") {
		return []error{fault("kafkaCertificate", "doesn't begin with its key in PKCS #8, which is all that brokers read: "+
			"convert it with openssl pkcs8 -topk8 -nocrypt")}
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM([]byte(s.KafkaAuthority)) {
		return []error{fault("kafkaAuthority", "is no certificate in PEM")}
	}
	var faults []error
	leaf := pair.Leaf
	if got := leaf.Subject.String(); got != "CN="+kafka.NodeName {
		faults = append(faults, fault("kafkaCertificate", "is for %q: nodes know one another by CN=%s and nothing more", got, kafka.NodeName))
	}
	between := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		if certificate, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(certificate)
		}
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots: authorities, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
		})
		if err != nil {
			faults = append(faults, fault("kafkaCertificate", "would be refused, by clients or between nodes: %v", err))
			break
		}
	}
	for _, host := range kafka.Hosts(dataNamespace, c.Cluster.Domain) {
		if c.Kafka.Controllers == 0 && strings.Contains(host, kafka.ControllerName) {
			continue
		}
		if err := leaf.VerifyHostname(strings.Replace(host, "*", kafka.Name+"-0", 1)); err != nil {
			faults = append(faults, fault("kafkaCertificate", "is not for the name %s", host))
		}
	}
	return faults
}
