package platform

import (
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/label"
	"shopstream/infra/internal/namespace"
	"shopstream/infra/internal/plan"
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
	broker, shop := namespaces[plan.DataNamespace], namespaces[plan.AppNamespace]
	newSecret := func(ns *namespace.Namespace, name string, values map[string]secret.Value) (*secret.Secret, error) {
		return secret.New(ctx, name, label.Meta(name, ns.Ref, label.Standard(name, "credentials")), values, opts...)
	}

	given, err := plan.KafkaPasswords(p.secrets)
	if err != nil {
		return err
	}
	passwords := map[string]secret.Value{}
	for _, user := range plan.Users(p.config) {
		if given[user] != "" {
			passwords[user] = secret.Given(pulumi.String(given[user]))
			continue
		}
		password, err := secret.Generated(p.host.random, 24)
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
		usernameKey:   secret.Given(pulumi.String(plan.KEDAUser)),
		scale.SASLKey: secret.Given(pulumi.String("plaintext")),
		scale.TLSKey:  secret.Given(pulumi.String("enable")),
	}
	for _, user := range plan.Clients(p.config) {
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
	hosts := kafka.Hosts(plan.DataNamespace, p.config.Cluster.Domain)
	return secret.Certificate(kafka.NodeName, hosts, time.Now())
}
