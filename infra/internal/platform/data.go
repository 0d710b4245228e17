package platform

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/app"
	"shopstream/infra/internal/image"
	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/label"
	"shopstream/infra/internal/mongo"
	"shopstream/infra/internal/namespace"
	"shopstream/infra/internal/plan"
	"shopstream/infra/internal/pod"
	"shopstream/infra/internal/secret"
)

// Secrets in the services' namespace.
const (
	// mongoSecret holds what the services reach the database with.
	mongoSecret = "mongodb"

	// kafkaSecret holds the password of each client of the brokers; kafkaAuthority is what they check the brokers with.
	kafkaSecret    = "kafka-clients"
	kafkaAuthority = "kafka-authority"

	// kafkaAdminSecret holds the administrator's password, apart from what the services mount: only the topics Job has it.
	kafkaAdminSecret = "kafka-admin"
)

// data is what the services build on.
type data struct {
	cluster *kafka.Cluster

	// kafkaFiles is what every client of the brokers needs beside its environment.
	kafkaFiles  []pod.File
	kafkaSecret *secret.Secret

	// kafkaRead is what clients read when they start: another content starts them anew.
	kafkaRead []*secret.Secret

	// kafkaChecksum changes with what the brokers know others and themselves by.
	kafkaChecksum pulumi.StringInput

	// mongoEnv is what a service needs to connect to the database.
	mongoEnv    []pod.Env
	mongoSecret *secret.Secret

	// ready is what must be there before a service starts.
	ready []pulumi.Resource
}

func (p platform) declareData(
	ctx *pulumi.Context, namespaces map[string]*namespace.Namespace, images *image.Images, opts ...pulumi.ResourceOption,
) (data, error) {
	c := p.config
	var d data
	if err := p.declareCredentials(ctx, namespaces, &d, opts...); err != nil {
		return data{}, err
	}
	// First of all: a component that depends on one that is not ready yet holds up everything that is declared after it,
	// and so both start at the same time.
	database, err := p.declareDatabase(ctx, namespaces, &d, opts...)
	if err != nil {
		return data{}, err
	}
	cluster, err := kafka.NewCluster(ctx, kafka.Name, &kafka.ClusterArgs{
		Namespace:     namespaces[plan.DataNamespace],
		ClusterDomain: c.Cluster.Domain,
		Image:         c.Kafka.Image,
		Topology:      plan.Topology(c),
		ClusterID:     kafka.ClusterID(ctx.Project(), ctx.Stack()),
		Heap:          c.Kafka.Heap,
		CPU:           c.Kafka.CPU,
		CPULimit:      c.Kafka.CPULimit,
		StorageClass:  c.Kafka.StorageClass,
		StorageSize:   c.Kafka.Storage,
		DeleteVolumes: !c.KeepVolumes,
		Zones:         c.Cluster.Zones,
		Security:      kafka.Security{Enabled: c.Kafka.Secure, Users: plan.Users(c), Checksum: d.kafkaChecksum},
	}, append(opts, pulumi.DependsOn(d.ready))...)
	if err != nil {
		return data{}, err
	}
	d.cluster = cluster
	brokers := []pulumi.Resource{cluster, images}
	declaration := &kafka.TopicsArgs{
		Namespace: namespaces[plan.AppNamespace],
		Image:     images.Reference(plan.TopicsJob),
		User:      app.User,
		Resources: plan.TopicsResources(),
		Topics:    plan.Topics(c),
		Env:       cluster.EnvVars(kafka.Admin, kafkaAdminSecret),
		Files:     d.kafkaFiles,
		Options:   images.LoadFirst(),
	}
	if c.Kafka.Secure {
		declaration.Users, declaration.Grants = plan.Clients(c), plan.Grants(c)
	}
	topics, err := kafka.NewTopics(ctx, plan.TopicsJob, declaration, append(opts, pulumi.DependsOn(brokers))...)
	if err != nil {
		return data{}, err
	}
	d.ready = append(database, images, topics)
	return d, nil
}

// declareDatabase makes the database, or only the Secret with the address of one that stands elsewhere. It returns what
// must be there before a service starts.
func (p platform) declareDatabase(
	ctx *pulumi.Context, namespaces map[string]*namespace.Namespace, d *data, opts ...pulumi.ResourceOption,
) ([]pulumi.Resource, error) {
	shop := namespaces[plan.AppNamespace]
	meta := label.Meta(mongoSecret, shop.Ref, label.Standard(mongoSecret, "credentials"))
	name := pod.Value("MONGO_DATABASE", p.config.Mongo.Database)

	if p.config.Mongo.External {
		values := map[string]secret.Value{"uri": secret.Given(pulumi.String(p.secrets.MongoURI))}
		address, err := secret.New(ctx, mongoSecret, meta, values, opts...)
		if err != nil {
			return nil, err
		}
		d.mongoSecret = address
		d.mongoEnv = []pod.Env{pod.Secret("MONGO_URI", mongoSecret, "uri"), name}
		return []pulumi.Resource{address}, nil
	}

	args, err := p.databaseArgs(namespaces[plan.DataNamespace])
	if err != nil {
		return nil, err
	}
	database, err := mongo.NewDatabase(ctx, mongo.Name, args, opts...)
	if err != nil {
		return nil, err
	}
	values := map[string]secret.Value{"password": database.AppPassword()}
	password, err := secret.New(ctx, mongoSecret, meta, values, opts...)
	if err != nil {
		return nil, err
	}
	d.mongoSecret = password
	d.mongoEnv = append(database.EnvVars(mongoSecret, "password"), name)
	return []pulumi.Resource{database, password}, nil
}

func (p platform) databaseArgs(ns *namespace.Namespace) (*mongo.DatabaseArgs, error) {
	c := p.config
	root, err := secret.Generated(p.host.random, 24)
	if err != nil {
		return nil, err
	}
	keyFile, err := secret.Generated(p.host.random, 256)
	if err != nil {
		return nil, err
	}
	password := secret.Given(pulumi.String(p.secrets.MongoPassword))
	if p.secrets.MongoPassword == "" {
		if password, err = secret.Generated(p.host.random, 24); err != nil {
			return nil, err
		}
	}
	return &mongo.DatabaseArgs{
		Namespace:     ns,
		ClusterDomain: c.Cluster.Domain,
		Image:         c.Mongo.Image,
		Members:       c.Mongo.Members,
		Resources:     plan.MongoResources(c),
		StorageClass:  c.Mongo.StorageClass,
		StorageSize:   c.Mongo.Storage,
		DeleteVolumes: !c.KeepVolumes,
		Zones:         c.Cluster.Zones,
		Database:      c.Mongo.Database,
		RootPassword:  root,
		AppPassword:   password,
		KeyFile:       keyFile,
	}, nil
}

// authentication names what KEDA comes in to the brokers with, or nothing where they ask for nothing.
func (d data) authentication() string {
	if d.kafkaSecret == nil {
		return ""
	}
	return kafkaSecret
}
