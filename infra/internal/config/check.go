package config

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// Check returns all faults of single values at once; values that don't fit together are checked in package plan. A preview
// needs no secrets, since whoever reviews a change has none.
func Check(c Config, s Secrets, preview bool) error {
	faults := slices.Concat(
		OneOf("logLevel", c.LogLevel, "debug", "info", "warn", "error"),
		keys("accept", c.Accept),
		checkCluster(c.Cluster),
		checkImages(c.Images, s, preview),
		checkKafka(c.Kafka, s, preview),
		checkTopics(c.Topics),
		checkMongo(c.Mongo, s, preview),
		checkServices(c.Services),
		checkIngress(c.Ingress),
		checkTracing(c.Tracing),
		checkAddons(c.Addons),
	)
	if s.APIToken != "" {
		faults = append(faults, bearerToken("apiToken", s.APIToken)...)
	}
	if c.Profile == Production {
		faults = append(faults, checkProduction(c, s, preview)...)
	}
	return errors.Join(faults...)
}

func checkCluster(c Cluster) []error {
	faults := slices.Concat(
		cpu("cluster.nodeCpu", c.NodeCPU),
		bytes("cluster.nodeMemory", c.NodeMemory, quantity("1Mi")),
		clusterDomain("cluster.domain", c.Domain),
		cidrs("cluster.dnsAddresses", c.DNSAddresses),
		between("cluster.nodes", c.Nodes, 1, 5000),
		ports("cluster.apiServerPorts", c.APIServerPorts...),
	)
	if len(c.APIServerPorts) == 0 {
		faults = append(faults, Fault("cluster.apiServerPorts",
			"is empty, but KEDA and the ingress controller need the API server: set [443, 6443, 8443]"))
	}
	return faults
}

func checkImages(c Images, s Secrets, preview bool) []error {
	faults := slices.Concat(
		pinnedImage("images.goImage", c.GoImage),
		pinnedImage("images.baseImage", c.BaseImage),
		registry("images.registry", c.Registry),
		userName("images.registryUsername", c.RegistryUsername),
		OneOf("images.platform", c.Platform, "", "linux/amd64", "linux/arm64"),
		address("images.dockerHost", c.DockerHost, "unix", "tcp", "ssh", "http", "https", "npipe"),
	)
	if len(c.Load) > 0 {
		faults = append(faults, notEmpty("images.load", c.Load[0], "name the command that brings an image to the nodes")...)
	}
	if c.RegistryUsername != "" && s.RegistryPassword == "" && !preview {
		faults = append(faults, Fault("registryPassword",
			"is not set, but images.registryUsername is: run pulumi config set --secret registryPassword"))
	}
	if c.Registry != "" && len(c.Load) > 0 {
		faults = append(faults, Fault("images.load",
			"is set, but images.registry is too, from which the nodes pull: set one of the two"))
	}
	return faults
}

func checkKafka(c Kafka, s Secrets, preview bool) []error {
	if c.IsExternal() {
		return checkExternalKafka(c.External, s, preview)
	}
	var faults []error
	if s.KafkaCredentials != "" {
		faults = append(faults, Fault("kafkaCredentials", "is set, but kafka.external is not: set it, or remove the credentials"))
	}
	return slices.Concat(faults,
		pinnedImage("kafka.image", c.Image),
		between("kafka.brokers", c.Brokers, 1, 200),
		between("kafka.controllers", c.Controllers, 0, 5),
		between("kafka.voters", c.Voters, 0, 5),
		bytes("kafka.heap", c.Heap, quantity("256Mi")),
		cpus("kafka.cpu", c.CPU, c.CPULimit),
		bytes("kafka.storage", c.Storage, quantity("64Mi")),
		objectName("kafka.storageClass", c.StorageClass),
		bytes("kafka.moveRate", c.MoveRate, quantity("64Ki")),
		span("kafka.finalizeAfter", c.FinalizeAfter, time.Second),
	)
}

func checkTopics(c Topics) []error {
	var faults []error
	// In metric names a dot becomes an underscore, so the brokers refuse two topics that differ only in that.
	seen := map[string]NamedTopic{}
	for _, t := range c.All() {
		key := "topics." + t.Key
		faults = append(faults, topicName(key+".name", t.Name)...)
		inMetrics := strings.ReplaceAll(t.Name, ".", "_")
		switch other, taken := seen[inMetrics]; {
		case taken && other.Name == t.Name:
			faults = append(faults, Fault(key+".name", "%q is the name of topics.%s too", t.Name, other.Key))
		case taken:
			faults = append(faults, Fault(key+".name", "%q and %q of topics.%s have the same name in metrics, which Kafka refuses: "+
				"set names that differ in more than dots and underscores", t.Name, other.Name, other.Key))
		}
		seen[inMetrics] = t
		// The brokers create at most this many in one request.
		faults = append(faults, between(key+".partitions", t.Partitions, 1, 10_000)...)
		switch {
		case t.Compacted && t.Retention != 0:
			faults = append(faults, Fault(key+".retention", "%s: a compacted topic has no retention; leave it out", t.Retention))
		case !t.Compacted:
			faults = append(faults, span(key+".retention", t.Retention, time.Millisecond)...)
		}
	}
	return faults
}

// maxDatabaseName is how many letters the name of a database of MongoDB can have.
const maxDatabaseName = 63

func checkMongo(c Mongo, s Secrets, preview bool) []error {
	if c.External {
		return checkExternalMongo(c, s, preview)
	}
	faults := slices.Concat(
		pinnedImage("mongo.image", c.Image),
		cpus("mongo.cpu", c.CPU, c.CPULimit),
		bytes("mongo.memory", c.Memory, quantity("384Mi")),
		bytes("mongo.storage", c.Storage, quantity("64Mi")),
		objectName("mongo.storageClass", c.StorageClass),
		databaseName("mongo.database", c.Database, maxDatabaseName-len("_drill")), // where drills restore into
	)
	if s.MongoURI != "" {
		faults = append(faults, Fault("mongoUri", "is set, but mongo.external is not: set it to true, or remove the address"))
	}
	if c.Members != 1 && c.Members != 3 {
		faults = append(faults, Fault("mongo.members", "%d: set 1 or 3", c.Members))
	}
	if s.MongoPassword != "" {
		faults = append(faults, strongPassword("mongoPassword", s.MongoPassword)...)
	}
	if c.Backups() {
		faults = append(faults, checkBackup(c.Backup, s, preview)...)
	}
	return faults
}

func checkBackup(c Backup, s Secrets, preview bool) []error {
	faults := slices.Concat(
		schedule("mongo.backup.schedule", c.Schedule),
		schedule("mongo.backup.drill", c.Drill),
		between("mongo.backup.keep", c.Keep, 1, 1000),
	)
	if c.S3.Bucket == "" {
		return slices.Concat(faults,
			bytes("mongo.backup.storage", c.Storage, quantity("64Mi")),
			objectName("mongo.backup.storageClass", c.StorageClass),
		)
	}
	faults = slices.Concat(faults,
		bucketName("mongo.backup.s3.bucket", c.S3.Bucket),
		notEmpty("mongo.backup.s3.endpoint", c.S3.Endpoint, "set the address of the object store"),
		site("mongo.backup.s3.endpoint", c.S3.Endpoint, "https", "http"),
		bucketRegion("mongo.backup.s3.region", c.S3.Region),
		objectPrefix("mongo.backup.s3.prefix", c.S3.Prefix),
		cidrs("mongo.backup.s3.addresses", c.S3.Addresses),
	)
	for _, secret := range []struct{ key, value string }{{"backupAccessKey", s.BackupAccessKey}, {"backupSecretKey", s.BackupSecretKey}} {
		if secret.value == "" && !preview {
			faults = append(faults, Fault(secret.key, "is not set, but mongo.backup.s3.bucket is: run pulumi config set --secret %s", secret.key))
		}
	}
	return faults
}

func checkExternalMongo(c Mongo, s Secrets, preview bool) []error {
	faults := slices.Concat(
		cidrs("mongo.externalAddresses", c.ExternalAddresses),
		ports("mongo.externalPort", c.ExternalPort),
		databaseName("mongo.database", c.Database, maxDatabaseName),
	)
	if len(c.ExternalAddresses) == 0 {
		faults = append(faults, Fault("mongo.externalAddresses",
			"is empty, and the network policies would refuse the database: set its CIDR blocks"))
	}
	switch {
	case s.MongoURI != "":
		faults = append(faults, mongoURI("mongoUri", s.MongoURI)...)
	case !preview:
		faults = append(faults, Fault("mongoUri", "is not set, but mongo.external is: run pulumi config set --secret mongoUri"))
	}
	return faults
}

func checkServices(c Services) []error {
	var faults []error
	for _, s := range c.all() {
		key := "services." + s.key
		faults = append(faults, slices.Concat(
			cpus(key+".cpu", s.CPU, s.CPULimit),
			bytes(key+".memory", s.Memory, quantity("64Mi")),
			between(key+".min", s.Min, 1, 1000),
			between(key+".max", s.Max, 1, 1000),
			checkTarget(key, s),
		)...)
		if s.Max < s.Min {
			faults = append(faults, Fault(key+".max", "%d is less than %s.min, which is %d", s.Max, key, s.Min))
		}
		for _, name := range slices.Sorted(maps.Keys(s.Env)) {
			faults = append(faults, variableName(key+".env", name)...)
		}
	}
	return faults
}

// checkTarget checks the autoscaler's targets.
func checkTarget(key string, s namedService) []error {
	faults := between(key+".target", s.Target, 1, 100)
	if cpu := s.CPULimit.MilliValue(); len(faults) == 0 && cpu > 0 && cpu*int64(s.Target) < 100 {
		faults = append(faults, Fault(key+".target", "%d %% of a CPU limit of %s is less than a millicore, which no autoscaler can aim at: raise one of them",
			s.Target, s.CPULimit.String()))
	}
	if s.key == "managementApi" || s.key == "consumer" {
		return slices.Concat(
			faults,
			between(key+".drainPerSecond", s.DrainPerSecond, 1, 1_000_000),
			span(key+".catchUp", s.CatchUp, time.Second),
		)
	}
	if s.DrainPerSecond != 0 || s.CatchUp != 0 {
		faults = append(faults, Fault(key+".drainPerSecond", "%s reads no topic as a group, so it scales on CPU only: "+
			"leave drainPerSecond and catchUp out", s.key))
	}
	return faults
}

func checkAddons(c Addons) []error {
	faults := slices.Concat(
		namespaceName("addons.kedaNamespace", c.KEDANamespace),
		namespaceName("addons.monitoringNamespace", c.MonitoringNamespace),
		chartRepository("addons.repository", c.Repository),
		folderURL("addons.runbooks", c.Runbooks, "https", "http"),
		bytes("addons.prometheusStorage", c.PrometheusStorage, quantity("0")),
	)
	if c.Repository != "" && c.Folder != "" {
		faults = append(faults, Fault("addons.folder", "is set, but addons.repository is too: set one of the two"))
	}
	if c.Prometheus {
		faults = append(faults, span("addons.prometheusRetention", c.PrometheusRetention, time.Second)...)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Values)) {
		faults = append(faults, OneOf("addons.values", name, "grafana", "ingress-nginx", "jaeger", "keda", "metrics-server", "prometheus", "traefik")...)
		if _, isObject := c.Values[name].(map[string]any); !isObject && c.Values[name] != nil {
			faults = append(faults, Fault("addons.values."+name, "%v is not an object: write the values as in the chart's own values.yaml", c.Values[name]))
		}
	}
	return faults
}

// checkProduction checks what the production profile requires in addition.
func checkProduction(c Config, s Secrets, preview bool) []error {
	faults := slices.Concat(
		notEmpty("images.registry", c.Images.Registry, "set the registry that the nodes pull from"),
		notEmpty("ingress.host", c.Ingress.Host, "set the host name of the shop"),
		notEmpty("ingress.tlsSecret", c.Ingress.TLSSecret, "name the secret with the certificate"),
		notEmpty("images.platform", c.Images.Platform, "name the platform of the nodes, whatever builds the images"),
	)
	if c.Ingress.Installed() && c.Ingress.Replicas < 2 {
		faults = append(faults, Fault("ingress.replicas", "%d: production needs 2 or more, so that one can be restarted", c.Ingress.Replicas))
	}
	if c.Cluster.Nodes < 3 {
		faults = append(faults, Fault("cluster.nodes", "%d: production needs 3 or more", c.Cluster.Nodes))
	}
	faults = append(faults, checkProductionKafka(c.Kafka)...)
	if !c.Mongo.External && c.Mongo.Members != 3 {
		faults = append(faults, Fault("mongo.members", "%d: production needs 3, or mongo.external", c.Mongo.Members))
	}
	if s.APIToken == "" && !preview {
		faults = append(faults, Fault("apiToken",
			"is not set, and anyone could read every topic through api: run pulumi config set --secret apiToken"))
	}
	return faults
}

func checkProductionKafka(c Kafka) []error {
	var faults []error
	if e := c.External; c.IsExternal() {
		if !e.TLS {
			faults = append(faults, Fault("kafka.external.tls", "is off: production requires TLS; set it to true"))
		}
		faults = append(faults, notEmpty("kafka.external.sasl", e.SASL, "production requires authentication; set SCRAM-SHA-512, or PLAIN")...)
		if e.ReplicationFactor < 3 {
			faults = append(faults, Fault("kafka.external.replicationFactor", "%d: production needs 3 or more", e.ReplicationFactor))
		}
		return faults
	}
	if !c.Secure {
		faults = append(faults, Fault("kafka.secure", "is off: production requires TLS and authentication; set it to true"))
	}
	if c.Brokers < 3 {
		faults = append(faults, Fault("kafka.brokers", "%d: production needs 3 or more", c.Brokers))
	}
	return faults
}
