package platform

import (
	"slices"
	"time"

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

// mongoSecret is the Secret, in the services' namespace, with the address or the password of the database.
const mongoSecret = "mongodb"

// data is what the services need of Kafka and the database.
type data struct {
	kafka       kafka.Connection
	topics      *kafka.Topics
	credentials kafkaCredentials
	database    database
}

func (p platform) declareData(
	ctx *pulumi.Context, namespaces map[string]*namespace.Namespace, images *image.Images, opts ...pulumi.ResourceOption,
) (data, error) {
	credentials, err := p.declareCredentials(ctx, namespaces, opts...)
	if err != nil {
		return data{}, err
	}
	// The database comes before Kafka so that both start at the same time: a component that waits for another one delays
	// everything that is declared after it.
	database, err := p.declareDatabase(ctx, namespaces, images, opts...)
	if err != nil {
		return data{}, err
	}
	connection, ready := p.externalConnection(), credentials.secrets
	if !p.config.Kafka.IsExternal() {
		brokers := p.kafkaArgs(ctx, namespaces[plan.DataNamespace], images, credentials)
		connection = brokers.Connection()
		admin, err := kafka.NewAdmin(ctx, p.topicsArgs(namespaces[plan.AppNamespace], images, connection, credentials),
			append(slices.Clone(opts), pulumi.DependsOn(append(credentials.secrets, images.After(plan.TopicsJob)...)))...)
		if err != nil {
			return data{}, err
		}
		if brokers.BrokerOptions, err = p.drainFirst(ctx, admin); err != nil {
			return data{}, err
		}
		cluster, err := kafka.NewCluster(ctx, kafka.Name, brokers,
			append(slices.Clone(opts), pulumi.DependsOn(append(credentials.secrets, images.After(kafka.GuardName)...)))...)
		if err != nil {
			return data{}, err
		}
		ready = []pulumi.Resource{cluster}
	}
	topics, err := kafka.NewTopics(ctx, plan.TopicsJob, p.topicsArgs(namespaces[plan.AppNamespace], images, connection, credentials),
		append(opts, pulumi.DependsOn(append(ready, images)))...)
	if err != nil {
		return data{}, err
	}
	return data{kafka: connection, topics: topics, credentials: credentials, database: database}, nil
}

func (p platform) kafkaArgs(
	ctx *pulumi.Context, ns *namespace.Namespace, images *image.Images, credentials kafkaCredentials,
) *kafka.ClusterArgs {
	c := p.config
	return &kafka.ClusterArgs{
		Namespace:     ns,
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
		Security:      kafka.Security{Enabled: c.Kafka.Secure, Users: plan.Users(c), Checksum: credentials.checksum},
		Guard: kafka.Guard{
			Image: images.Reference(kafka.GuardName), Resources: plan.GuardResources(), LogLevel: c.LogLevel, Options: images.LoadFirst(),
		},
	}
}

func (p platform) topicsArgs(
	ns *namespace.Namespace, images *image.Images, connection kafka.Connection, credentials kafkaCredentials,
) *kafka.TopicsArgs {
	c := p.config.Kafka
	args := &kafka.TopicsArgs{
		Namespace: ns,
		Image:     images.Reference(plan.TopicsJob),
		User:      app.User,
		Resources: plan.TopicsResources(),
		Topics:    plan.Topics(p.config),
		Env:       connection.EnvVars(p.login(plan.TopicsJob)),
		Files:     credentials.files,
		Secrets:   credentials.topics,
		Options:   images.LoadFirst(),
	}
	if c.IsExternal() {
		return args
	}
	args.Moving = &kafka.Moving{Brokers: c.Brokers, Rate: c.MoveRate, Storage: c.Storage}
	if c.Finalize {
		args.Finalize = &kafka.Finalize{Image: c.Image, After: time.Duration(c.FinalizeAfter)}
	}
	if c.Secure {
		args.Users, args.Grants = plan.Clients(p.config), plan.Grants(p.config)
	}
	return args
}

// database is what a service needs to connect to the database.
type database struct {
	env    []pod.Env
	secret *secret.Secret

	// resources are the Secret, and the database unless it is external: a service starts after them.
	resources []pulumi.Resource
}

// declareDatabase declares the database and the Secret that the services connect with, or only the Secret for an external
// database.
func (p platform) declareDatabase(
	ctx *pulumi.Context, namespaces map[string]*namespace.Namespace, images *image.Images, opts ...pulumi.ResourceOption,
) (database, error) {
	shop := namespaces[plan.AppNamespace]
	meta := label.Meta(mongoSecret, shop.Ref, label.Standard(mongoSecret, "credentials"))
	name := pod.Value("MONGO_DATABASE", p.config.Mongo.Database)

	if p.config.Mongo.External {
		values := map[string]secret.Value{"uri": secret.Given(pulumi.String(p.secrets.MongoURI))}
		address, err := secret.New(ctx, mongoSecret, meta, values, opts...)
		if err != nil {
			return database{}, err
		}
		env := []pod.Env{pod.Secret("MONGO_URI", mongoSecret, "uri"), name}
		return database{env: env, secret: address, resources: []pulumi.Resource{address}}, nil
	}

	args, err := p.databaseArgs(namespaces[plan.DataNamespace], images)
	if err != nil {
		return database{}, err
	}
	if args.Backup != nil {
		opts = append(slices.Clone(opts), pulumi.DependsOn(images.After(mongo.BackupProgram)))
	}
	members, err := mongo.NewDatabase(ctx, mongo.Name, args, opts...)
	if err != nil {
		return database{}, err
	}
	values := map[string]secret.Value{"password": members.AppPassword()}
	password, err := secret.New(ctx, mongoSecret, meta, values, opts...)
	if err != nil {
		return database{}, err
	}
	env := append(members.EnvVars(mongoSecret, "password"), name)
	return database{env: env, secret: password, resources: []pulumi.Resource{members, password}}, nil
}

func (p platform) databaseArgs(ns *namespace.Namespace, images *image.Images) (*mongo.DatabaseArgs, error) {
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
	backup, err := p.backupArgs(images)
	if err != nil {
		return nil, err
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
		Backup:        backup,
	}, nil
}

// backupArgs describes the dumps; nil if there are none.
func (p platform) backupArgs(images *image.Images) (*mongo.BackupArgs, error) {
	if !p.config.Mongo.Backups() {
		return nil, nil
	}
	password, err := secret.Generated(p.host.random, 24)
	if err != nil {
		return nil, err
	}
	settings := p.config.Mongo.Backup
	args := &mongo.BackupArgs{
		Image:        images.Reference(mongo.BackupProgram),
		User:         app.User,
		LogLevel:     p.config.LogLevel,
		Resources:    plan.BackupResources(),
		Schedule:     settings.Schedule,
		Drill:        settings.Drill,
		Keep:         settings.Keep,
		StorageClass: settings.StorageClass,
		StorageSize:  settings.Storage,
		Password:     password,
		Options:      images.LoadFirst(),
	}
	if s3 := settings.S3; s3.Bucket != "" {
		args.Bucket = &mongo.Bucket{
			Name: s3.Bucket, Endpoint: s3.Endpoint, Region: s3.Region, Prefix: s3.Prefix,
			AccessKey: secret.Given(pulumi.String(p.secrets.BackupAccessKey)), SecretKey: secret.Given(pulumi.String(p.secrets.BackupSecretKey)),
		}
	}
	return args, nil
}
