package config

// Secrets are the keys that are set with `pulumi config set --secret`. What is not set is empty here.
type Secrets struct {
	// APIToken is the bearer token that `api` requires. Without it `api` is open; the production profile needs one.
	APIToken string `json:"apiToken"`

	// MongoURI is the address of an external database, for `mongo.external`.
	MongoURI string `json:"mongoUri"`

	// MongoPassword is the password of the services' MongoDB user: 16 letters and digits or more. One is generated when
	// it is not set.
	MongoPassword string `json:"mongoPassword"`

	// KafkaCertificate is the key of the Kafka nodes followed by their certificate, both PEM, for every name in
	// `*.kafka-nodes.shop-data.svc.cluster.local`, `*.kafka-controller-nodes.shop-data.svc.cluster.local` and
	// `kafka.shop-data.svc.cluster.local`, with the common name `kafka`, for servers and clients. With `kafka.secure`, one is
	// made when it is not set, and renewed before its end.
	KafkaCertificate string `json:"kafkaCertificate"`

	// KafkaAuthority is the certificate authority that signed `kafkaCertificate`; several, one after the other, while one
	// replaces another.
	KafkaAuthority string `json:"kafkaAuthority"`

	// KafkaPasswords is passwords of users of Kafka as JSON, such as `{"web-server": "…"}`: 16 letters and digits or more.
	// The others' are generated.
	KafkaPasswords string `json:"kafkaPasswords"`

	// KafkaCredentials is the users of an external Kafka, for `kafka.external.sasl`, as JSON: one for all,
	// `{"default": {"username": "…", "password": "…"}}`, or each its own under its name, such as `web-server`, `keda` or
	// `topics`, which makes the topics. `default` is that of all that aren't named.
	KafkaCredentials string `json:"kafkaCredentials"`

	// BackupAccessKey is the access key of the object store, for `mongo.backup.s3`.
	BackupAccessKey string `json:"backupAccessKey"`

	// BackupSecretKey goes with `backupAccessKey`.
	BackupSecretKey string `json:"backupSecretKey"`

	// RegistryPassword goes with `images.registryUsername`.
	RegistryPassword string `json:"registryPassword"`
}
