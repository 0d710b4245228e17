package platform

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/label"
	"shopstream/infra/internal/namespace"
	"shopstream/infra/internal/plan"
	"shopstream/infra/internal/pod"
	"shopstream/infra/internal/scale"
	"shopstream/infra/internal/secret"
)

// Secrets in the services' namespace.
const (
	// kafkaSecret contains the password of every Kafka client, and KEDA's SASL settings under usernameKey and the keys of scale.
	kafkaSecret = "kafka-clients"
	usernameKey = "keda-username"

	// kafkaAuthority contains the certificate authority that clients verify the brokers with.
	kafkaAuthority = "kafka-authority"

	// kafkaAdminSecret contains the administrator's password. It is a separate Secret because only the topics Job may read it.
	kafkaAdminSecret = "kafka-admin"
)

// kafkaCredentials says how the nodes and the clients of Kafka authenticate. The zero value is for a Kafka without security.
type kafkaCredentials struct {
	// secrets are all Secrets: the brokers start after them.
	secrets []pulumi.Resource

	// checksum changes with what the brokers read when they start.
	checksum pulumi.StringInput

	// files are what a client mounts.
	files []pod.File

	// clients are the Secrets that a client reads when it starts: if their content changes, it restarts. topics are those of
	// the Job, which then runs again.
	clients, topics []*secret.Secret

	// certificate is the nodes' own, and renewal how far a generated one is on its way to its successor.
	certificate *secret.Secret
	renewal     secret.Renewal

	// keda is what KEDA authenticates with; without a Secret it needs nothing. Its TriggerAuthentication has that Secret's name.
	keda scale.KafkaAuthentication
}

// declareCredentials declares the Secrets of a secured Kafka: all credentials in the brokers' namespace, and in the
// services' namespace those that clients need. A generated password is generated once, in the brokers' namespace, and
// copied from the cluster.
func (p platform) declareCredentials(
	ctx *pulumi.Context, namespaces map[string]*namespace.Namespace, opts ...pulumi.ResourceOption,
) (kafkaCredentials, error) {
	if p.config.Kafka.IsExternal() {
		return p.declareExternalCredentials(ctx, namespaces[plan.AppNamespace], opts...)
	}
	if !p.config.Kafka.Secure {
		return kafkaCredentials{}, nil
	}
	newSecret := func(namespaceName, name string, values map[string]secret.Value) (*secret.Secret, error) {
		meta := label.Meta(name, namespaces[namespaceName].Ref, label.Standard(name, "credentials"))
		return secret.New(ctx, name, meta, values, opts...)
	}

	passwords, err := p.kafkaPasswords()
	if err != nil {
		return kafkaCredentials{}, err
	}
	users, err := newSecret(plan.DataNamespace, kafka.CredentialsSecret, passwords)
	if err != nil {
		return kafkaCredentials{}, err
	}
	values, renewal, err := p.certificate(ctx)
	if err != nil {
		return kafkaCredentials{}, err
	}
	certificate, err := newSecret(plan.DataNamespace, kafka.CertificateSecret, values)
	if err != nil {
		return kafkaCredentials{}, err
	}

	copies := map[string]secret.Value{
		usernameKey:   secret.Given(pulumi.String(plan.KEDAUser)),
		scale.SASLKey: secret.Given(pulumi.String(scale.SASLMode("PLAIN"))),
		scale.TLSKey:  secret.Given(pulumi.String(scale.TLSMode(true))),
	}
	for _, user := range plan.Clients(p.config) {
		copies[user] = users.Value(user)
	}
	clients, err := newSecret(plan.AppNamespace, kafkaSecret, copies)
	if err != nil {
		return kafkaCredentials{}, err
	}
	trusted, err := newSecret(plan.AppNamespace, kafkaAuthority, map[string]secret.Value{
		kafka.AuthorityKey: certificate.Value(kafka.AuthorityKey),
	})
	if err != nil {
		return kafkaCredentials{}, err
	}
	admin, err := newSecret(plan.AppNamespace, kafkaAdminSecret, map[string]secret.Value{kafka.Admin: users.Value(kafka.Admin)})
	if err != nil {
		return kafkaCredentials{}, err
	}

	return kafkaCredentials{
		secrets:     []pulumi.Resource{users, certificate, clients, admin, trusted},
		checksum:    secret.Checksum(users, certificate),
		files:       []pod.File{kafka.Authority(kafkaAuthority)},
		clients:     []*secret.Secret{clients, trusted},
		certificate: certificate,
		renewal:     renewal,
		keda: scale.KafkaAuthentication{
			Secret: kafkaSecret, UsernameKey: usernameKey, PasswordKey: plan.KEDAUser,
			AuthoritySecret: kafkaAuthority, AuthorityKey: kafka.AuthorityKey,
		},
	}, nil
}

// kafkaPasswords returns the password of every SASL user: the one that the stack sets, or a generated one.
func (p platform) kafkaPasswords() (map[string]secret.Value, error) {
	given, err := plan.KafkaPasswords(p.secrets)
	if err != nil {
		return nil, err
	}
	passwords := map[string]secret.Value{}
	for _, user := range plan.Users(p.config) {
		if given[user] != "" {
			passwords[user] = secret.Given(pulumi.String(given[user]))
			continue
		}
		if passwords[user], err = secret.Generated(p.host.random, 24); err != nil {
			return nil, err
		}
	}
	return passwords, nil
}
