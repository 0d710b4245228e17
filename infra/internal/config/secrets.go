package config

// Secrets are the keys that are set with `pulumi config set --secret`. Those that are not set are empty.
type Secrets struct {
	// APIToken is the bearer token that `api` requires. Without it, `api` is open; the production profile requires one.
	APIToken string `json:"apiToken"`

	// MongoURI is the address of an external database, for `mongo.external`.
	MongoURI string `json:"mongoUri"`

	// MongoPassword is the password of the services' MongoDB user: 16 letters and digits or more. If it is not set, one is
	// generated.
	MongoPassword string `json:"mongoPassword"`

	// KafkaCertificate is the private key of the Kafka nodes followed by their certificate, both in PEM, for every name in
	// `*.kafka-nodes.shop-data.svc.cluster.local`, `*.kafka-controller-nodes.shop-data.svc.cluster.local` and
	// `kafka.shop-data.svc.cluster.local`, with the common name `kafka`, for servers and clients. With `kafka.secure`, one is
	// made when it is not set, and renewed before its end.
	KafkaCertificate string `json:"kafkaCertificate"`

	// KafkaAuthority is the certificate authority that signed `kafkaCertificate`; or several, one after the other, while
	// one replaces another.
	KafkaAuthority string `json:"kafkaAuthority"`

	// KafkaPasswords are passwords of Kafka users as JSON, such as `{"web-server": "…"}`: 16 letters and digits or more.
	// Those of the other users are generated.
	KafkaPasswords string `json:"kafkaPasswords"`

	// KafkaCredentials are the users of an external Kafka, for `kafka.external.sasl`, as JSON: one for all,
	// `{"default": {"username": "…", "password": "…"}}`, or one for each client under its name, such as `web-server`,
	// `keda` or `topics`, which creates the topics. `default` is for all clients that aren't named.
	KafkaCredentials string `json:"kafkaCredentials"`

	// BackupAccessKey is the access key of the object store, for `mongo.backup.s3`.
	BackupAccessKey string `json:"backupAccessKey"`

	// BackupSecretKey is the secret key for `backupAccessKey`.
	BackupSecretKey string `json:"backupSecretKey"`

	// RegistryPassword is the password for `images.registryUsername`.
	RegistryPassword string `json:"registryPassword"`
}
