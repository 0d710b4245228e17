package platform

import (
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/label"
	"shopstream/infra/internal/namespace"
	"shopstream/infra/internal/plan"
	"shopstream/infra/internal/pod"
	"shopstream/infra/internal/scale"
	"shopstream/infra/internal/secret"
)

// externalConnection says how clients connect to the external Kafka.
func (p platform) externalConnection() kafka.Connection {
	external := p.config.Kafka.External
	return kafka.Connection{
		BootstrapServers: strings.Join(external.BootstrapServers, ","),
		TLS:              external.TLS,
		Authority:        external.Authority != "",
		Mechanism:        external.SASL,
		Zone:             p.config.Cluster.Zones,
	}
}

// login says where a client finds its credential.
func (p platform) login(client string) kafka.Login {
	name := kafkaSecret
	if client == plan.TopicsJob {
		name = kafkaAdminSecret
	}
	switch {
	case p.config.Kafka.IsExternal():
		return kafka.Login{Secret: name, UsernameKey: externalUsername(client), PasswordKey: externalPassword(client)}
	case client == plan.TopicsJob:
		client = kafka.Admin
	}
	return kafka.Login{Secret: name, Username: client, PasswordKey: client}
}

// The keys of a client's credential in its Secret.
func externalUsername(client string) string { return client + ".username" }
func externalPassword(client string) string { return client + ".password" }

// declareExternalCredentials declares the Secrets that the clients of an external Kafka need, in their namespace: those of
// the services and KEDA, that of the topics Job, and the certificate authority, as far as the cluster requires each.
func (p platform) declareExternalCredentials(
	ctx *pulumi.Context, shop *namespace.Namespace, opts ...pulumi.ResourceOption,
) (kafkaCredentials, error) {
	external := p.config.Kafka.External
	var made kafkaCredentials
	if !plan.Authenticated(p.config) {
		return made, nil
	}
	newSecret := func(name string, values map[string]secret.Value) (*secret.Secret, error) {
		object, err := secret.New(ctx, name, label.Meta(name, shop.Ref, label.Standard(name, "credentials")), values, opts...)
		if err == nil {
			made.secrets = append(made.secrets, object)
		}
		return object, err
	}

	made.keda.Secret = kafkaSecret
	values := map[string]secret.Value{scale.TLSKey: secret.Given(pulumi.String(scale.TLSMode(external.TLS)))}
	if external.SASL != "" {
		credentials, err := plan.KafkaCredentials(p.config, p.secrets)
		if err != nil {
			return kafkaCredentials{}, err
		}
		keep := func(values map[string]secret.Value, client string) {
			values[externalUsername(client)] = secret.Given(pulumi.String(credentials[client].Username))
			values[externalPassword(client)] = secret.Given(pulumi.String(credentials[client].Password))
		}
		values[scale.SASLKey] = secret.Given(pulumi.String(scale.SASLMode(external.SASL)))
		for _, client := range plan.Clients(p.config) {
			keep(values, client)
		}
		made.keda.UsernameKey, made.keda.PasswordKey = externalUsername(plan.KEDAUser), externalPassword(plan.KEDAUser)

		admin := map[string]secret.Value{}
		keep(admin, plan.TopicsJob)
		topics, err := newSecret(kafkaAdminSecret, admin)
		if err != nil {
			return kafkaCredentials{}, err
		}
		made.topics = append(made.topics, topics)
	}
	clients, err := newSecret(kafkaSecret, values)
	if err != nil {
		return kafkaCredentials{}, err
	}
	made.clients = append(made.clients, clients)

	if external.Authority != "" {
		trusted, err := newSecret(kafkaAuthority, map[string]secret.Value{kafka.AuthorityKey: secret.Given(pulumi.String(external.Authority))})
		if err != nil {
			return kafkaCredentials{}, err
		}
		made.keda.AuthoritySecret, made.keda.AuthorityKey = kafkaAuthority, kafka.AuthorityKey
		made.files = []pod.File{kafka.Authority(kafkaAuthority)}
		made.clients, made.topics = append(made.clients, trusted), append(made.topics, trusted)
	}
	return made, nil
}
