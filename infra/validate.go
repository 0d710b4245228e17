package main

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"shopstream/infra/internal/kafka"
)

// validate returns everything that is wrong with a configuration at once. A preview needs no secrets: whoever reviews
// a change has none.
func validate(c Config, s Secrets, preview bool) error {
	faults := slices.Concat(
		c.validateCluster(),
		c.validateImages(s, preview),
		c.validateKafka(s),
		c.validateTopics(),
		c.validateMongo(s, preview),
		c.validateServices(),
		c.validateEdge(),
		c.validateProduction(s, preview),
		c.validateBudget(),
	)
	return errors.Join(faults...)
}

func fault(key, format string, args ...any) error {
	return fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...))
}

func oneOf(key, value string, allowed ...string) []error {
	if slices.Contains(allowed, value) {
		return nil
	}
	choices, optional := strings.Join(allowed, ", "), ""
	if rest, ok := strings.CutPrefix(choices, ", "); ok {
		choices, optional = rest, ", or nothing"
	}
	return []error{fault(key, "%q: set one of %s%s", value, choices, optional)}
}

func notEmpty(key, value, fix string) []error {
	if value != "" {
		return nil
	}
	return []error{fault(key, "is empty: %s", fix)}
}

func positive(key string, q resource.Quantity) []error {
	if q.Sign() > 0 {
		return nil
	}
	return []error{fault(key, "is %s: set more than nothing", q.String())}
}

func atLeast(key string, q resource.Quantity, least *resource.Quantity) []error {
	if q.Cmp(*least) >= 0 {
		return nil
	}
	return []error{fault(key, "%s: set %s or more", q.String(), least.String())}
}

func atMost(key string, q resource.Quantity, limitKey string, limit resource.Quantity) []error {
	if q.Cmp(limit) <= 0 {
		return nil
	}
	return []error{fault(key, "%s is more than %s, which is %s: raise the limit or lower the request",
		q.String(), limitKey, limit.String())}
}

func cidrs(key string, blocks []string) []error {
	var faults []error
	for _, block := range blocks {
		if _, err := netip.ParsePrefix(block); err != nil {
			faults = append(faults, fault(key, "%q is no CIDR block: write it like 10.0.0.0/16", block))
		}
	}
	return faults
}

func (c Config) validateCluster() []error {
	faults := slices.Concat(
		oneOf("logLevel", c.LogLevel, "debug", "info", "warn", "error"),
		positive("cluster.nodeCpu", c.Cluster.NodeCPU),
		positive("cluster.nodeMemory", c.Cluster.NodeMemory),
		notEmpty("cluster.domain", c.Cluster.Domain, "set cluster.local unless the cluster has a domain of its own"),
		cidrs("cluster.dnsAddresses", c.Cluster.DNSAddresses),
	)
	if c.Cluster.Nodes < 1 {
		faults = append(faults, fault("cluster.nodes", "%d: set 1 or more", c.Cluster.Nodes))
	}
	if len(c.Cluster.APIServerPorts) == 0 {
		faults = append(faults, fault("cluster.apiServerPorts",
			"is empty: KEDA and the ingress controller need the API server; set [443, 6443, 8443]"))
	}
	return append(faults, ports("cluster.apiServerPorts", c.Cluster.APIServerPorts...)...)
}

func ports(key string, numbers ...int) []error {
	var faults []error
	for _, n := range numbers {
		if n < 1 || n > 65535 {
			faults = append(faults, fault(key, "%d is no port: set 1 to 65535", n))
		}
	}
	return faults
}

func (c Config) validateImages(s Secrets, preview bool) []error {
	faults := slices.Concat(
		pinned("images.goImage", c.Images.GoImage),
		pinned("images.baseImage", c.Images.BaseImage),
		pinned("kafka.image", c.Kafka.Image),
		pinned("mongo.image", c.Mongo.Image),
		oneOf("images.platform", c.Images.Platform, "", "linux/amd64", "linux/arm64"),
	)
	if strings.HasSuffix(c.Images.Registry, "/") || strings.Contains(c.Images.Registry, "://") {
		faults = append(faults, fault("images.registry",
			"%q: write it as the beginning of an image's name, like registry.example.com/team", c.Images.Registry))
	}
	if c.Images.RegistryUsername != "" && s.RegistryPassword == "" && !preview {
		faults = append(faults, fault("registryPassword",
			"is not set, and images.registryUsername is: run pulumi config set --secret registryPassword"))
	}
	if c.Images.Registry != "" && len(c.Images.Load) > 0 {
		faults = append(faults, fault("images.load",
			"brings images to the nodes that they would pull from images.registry too: set one of the two"))
	}
	return faults
}

// pinned wants a tag or a digest, and not one that moves.
func pinned(key, image string) []error {
	name := image[strings.LastIndex(image, "/")+1:]
	_, tag, found := strings.Cut(name, ":")
	if strings.Contains(image, "@sha256:") || found && tag != "" && tag != "latest" {
		return nil
	}
	return []error{fault(key, "%q is not pinned: add a version or a digest", image)}
}

func (c Config) topology() kafka.Topology {
	return kafka.Topology{Brokers: c.Kafka.Brokers, Controllers: c.Kafka.Controllers}
}

func (c Config) validateKafka(s Secrets) []error {
	faults := slices.Concat(
		positive("kafka.cpu", c.Kafka.CPU),
		atMost("kafka.cpu", c.Kafka.CPU, "kafka.cpuLimit", c.Kafka.CPULimit),
		positive("kafka.storage", c.Kafka.Storage),
	)
	if err := c.topology().Check(); err != nil {
		faults = append(faults, fmt.Errorf("kafka: %w", err))
	}
	faults = append(faults, c.validateCredentials(s, time.Now())...)
	if least := quantity("256Mi"); c.Kafka.Heap.Cmp(least) < 0 {
		faults = append(faults, fault("kafka.heap", "%s: a broker needs %s or more", c.Kafka.Heap.String(), least.String()))
	}
	return faults
}

func (c Config) validateTopics() []error {
	var faults []error
	seen := map[string]string{}
	legal := regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)
	for _, t := range c.Topics.all() {
		key := "topics." + t.key
		if !legal.MatchString(t.Name) {
			faults = append(faults, fault(key+".name", "%q: use letters, digits, dots, dashes and underscores", t.Name))
		}
		if other, taken := seen[t.Name]; taken {
			faults = append(faults, fault(key+".name", "%q is the name of topics.%s too", t.Name, other))
		}
		seen[t.Name] = t.key
		if t.Partitions < 1 {
			faults = append(faults, fault(key+".partitions", "%d: set 1 or more", t.Partitions))
		}
		if t.Retention < 0 || t.Retention == 0 && !t.compact {
			faults = append(faults, fault(key+".retention", "%s: set more than nothing", t.Retention))
		}
		if t.compact && t.Retention != 0 {
			faults = append(faults, fault(key+".retention", "%s: a compacted topic is kept for ever; leave it out", t.Retention))
		}
	}
	return faults
}

func (c Config) validateMongo(s Secrets, preview bool) []error {
	if c.Mongo.External {
		faults := slices.Concat(
			cidrs("mongo.externalAddresses", c.Mongo.ExternalAddresses),
			ports("mongo.externalPort", c.Mongo.ExternalPort),
		)
		if len(c.Mongo.ExternalAddresses) == 0 {
			faults = append(faults, fault("mongo.externalAddresses",
				"is empty: the network policies need to know where the database is; set its CIDR blocks"))
		}
		if s.MongoURI == "" && !preview {
			faults = append(faults, fault("mongoUri",
				"is not set, and mongo.external is: run pulumi config set --secret mongoUri"))
		}
		if s.MongoURI != "" && !strings.HasPrefix(s.MongoURI, "mongodb://") && !strings.HasPrefix(s.MongoURI, "mongodb+srv://") {
			faults = append(faults, fault("mongoUri", "begins with neither mongodb:// nor mongodb+srv://"))
		}
		return faults
	}
	faults := slices.Concat(
		positive("mongo.cpu", c.Mongo.CPU),
		atMost("mongo.cpu", c.Mongo.CPU, "mongo.cpuLimit", c.Mongo.CPULimit),
		positive("mongo.storage", c.Mongo.Storage),
		notEmpty("mongo.database", c.Mongo.Database, "set the name of the database"),
	)
	if s.MongoURI != "" {
		faults = append(faults, fault("mongoUri", "is set, and mongo.external is not: set it to true, or remove the address"))
	}
	if c.Mongo.Members != 1 && c.Mongo.Members != 3 {
		faults = append(faults, fault("mongo.members", "%d: set 1 or 3", c.Mongo.Members))
	}
	if least := quantity("384Mi"); c.Mongo.Memory.Cmp(least) < 0 {
		faults = append(faults, fault("mongo.memory", "%s: a member needs %s or more", c.Mongo.Memory.String(), least.String()))
	}
	if s.MongoPassword != "" && !regexp.MustCompile(`^[a-zA-Z0-9]{16,}$`).MatchString(s.MongoPassword) {
		faults = append(faults, fault("mongoPassword",
			"stands in an address as it is: use 16 letters and digits or more, and nothing else"))
	}
	return faults
}

func (c Config) validateServices() []error {
	var faults []error
	for _, s := range c.services() {
		key, size := "services."+s.key, s.size
		faults = append(faults, slices.Concat(
			positive(key+".cpu", size.CPU),
			atLeast(key+".memory", size.Memory, resource.NewQuantity(leastMemory, resource.BinarySI)),
			atMost(key+".cpu", size.CPU, key+".cpuLimit", size.CPULimit),
		)...)
		if size.Min < 1 {
			faults = append(faults, fault(key+".min", "%d: set 1 or more", size.Min))
		}
		if size.Max < size.Min {
			faults = append(faults, fault(key+".max", "%d is less than %s.min, which is %d", size.Max, key, size.Min))
		}
		for _, name := range slices.Sorted(maps.Keys(size.Env)) {
			faults = append(faults, variableName(key+".env", name)...)
		}
		if size.Target < 1 {
			faults = append(faults, fault(key+".target", "%d: set 1 or more", size.Target))
		}
		if s.scale.lag != nil && size.Max > s.scale.lag.Partitions {
			faults = append(faults, fault(key+".max",
				"%d is more than topic %q has partitions, which is %d: a pod too many would get none; "+
					"lower max or raise the partitions", size.Max, s.scale.lag.Name, s.scale.lag.Partitions))
		}
	}
	return faults
}

// variableName wants the name of an environment variable, and of none that follows from the rest.
func variableName(key, name string) []error {
	if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(name) {
		return []error{fault(key, "%q is no name of an environment variable", name)}
	}
	if slices.Contains([]string{"HTTP_ADDR", "DRAIN_DELAY", "SHUTDOWN_TIMEOUT"}, name) {
		return []error{fault(key, "%s follows from the port and the time that a pod has to stop: leave it out", name)}
	}
	return nil
}

// validateNamespaces wants a namespace of its own for whatever the stack makes one for.
func (c Config) validateNamespaces() []error {
	var faults []error
	used := map[string]string{appNamespace: "the services", dataNamespace: "Kafka and MongoDB"}
	for _, place := range []struct {
		key, name, who string
		made           bool
	}{
		{"ingress.namespace", c.Ingress.Namespace, "the ingress controller", c.Addons.IngressNginx},
		{"addons.kedaNamespace", c.Addons.KEDANamespace, "KEDA", c.Addons.KEDA},
		{"addons.monitoringNamespace", c.Addons.MonitoringNamespace, "monitoring", c.Addons.Prometheus || c.Addons.MetricsServer},
	} {
		if place.name != "" {
			for _, problem := range validation.IsDNS1123Label(place.name) {
				faults = append(faults, fault(place.key, "%q: %s", place.name, problem))
			}
		}
		if other, taken := used[place.name]; taken && place.made {
			faults = append(faults, fault(place.key, "%q is the namespace of %s: name another", place.name, other))
		}
		if place.made {
			used[place.name] = place.who
		}
	}
	return faults
}

// objectName wants the name of a Kubernetes object, or nothing.
func objectName(key, name string) []error {
	if name == "" || len(validation.IsDNS1123Subdomain(name)) == 0 {
		return nil
	}
	return []error{fault(key, "%q: use lower-case letters, digits, dots and dashes", name)}
}

func (c Config) validateEdge() []error {
	faults := slices.Concat(
		c.validateNamespaces(),
		objectName("ingress.host", strings.TrimPrefix(c.Ingress.Host, "*.")),
		objectName("ingress.class", c.Ingress.Class),
		objectName("ingress.tlsSecret", c.Ingress.TLSSecret),
		objectName("kafka.storageClass", c.Kafka.StorageClass),
		objectName("mongo.storageClass", c.Mongo.StorageClass),
		notEmpty("ingress.class", c.Ingress.Class, "set the class of the ingress controller"),
		notEmpty("ingress.namespace", c.Ingress.Namespace, "name the namespace of the ingress controller"),
		notEmpty("addons.kedaNamespace", c.Addons.KEDANamespace, "name the namespace of KEDA"),
		notEmpty("addons.monitoringNamespace", c.Addons.MonitoringNamespace, "name the namespace of Prometheus"),
		oneOf("ingress.serviceType", c.Ingress.ServiceType, "NodePort", "LoadBalancer", "ClusterIP"),
	)
	if c.Ingress.TLSSecret != "" && c.Ingress.Host == "" {
		faults = append(faults, fault("ingress.host", "is empty, and ingress.tlsSecret is set: a certificate is for a name"))
	}
	if c.Ingress.ClusterIssuer != "" && c.Ingress.TLSSecret == "" {
		faults = append(faults, fault("ingress.tlsSecret",
			"is empty, and ingress.clusterIssuer is set: name the secret that it shall fill"))
	}
	if c.Addons.Repository != "" && !regexp.MustCompile(`^(https?|oci)://[^/]+`).MatchString(c.Addons.Repository) {
		faults = append(faults, fault("addons.repository", "%q: write it like https://… or oci://…", c.Addons.Repository))
	}
	if c.Addons.Repository != "" && c.Addons.Folder != "" {
		faults = append(faults, fault("addons.folder", "is set, and addons.repository too: set one of the two"))
	}
	if c.Addons.Prometheus && c.Addons.PrometheusRetention <= 0 {
		faults = append(faults, fault("addons.prometheusRetention", "%s: set more than nothing", c.Addons.PrometheusRetention))
	}
	for name := range c.Addons.Values {
		faults = append(faults, oneOf("addons.values", name, "ingress-nginx", "keda", "metrics-server", "prometheus")...)
	}
	return faults
}

// validateProduction holds what is a choice elsewhere and a duty in production.
func (c Config) validateProduction(s Secrets, preview bool) []error {
	if c.Profile != profileProduction {
		return nil
	}
	faults := slices.Concat(
		notEmpty("images.registry", c.Images.Registry, "the nodes pull their images from there"),
		notEmpty("ingress.host", c.Ingress.Host, "set the host name of the shop"),
		notEmpty("ingress.tlsSecret", c.Ingress.TLSSecret, "name the secret with the certificate"),
		notEmpty("images.platform", c.Images.Platform, "name what the nodes are, whatever builds the images"),
	)
	if c.Cluster.Nodes < 3 {
		faults = append(faults, fault("cluster.nodes", "%d: production needs 3 or more", c.Cluster.Nodes))
	}
	if !c.Kafka.Secure {
		faults = append(faults, fault("kafka.secure", "is off: production encrypts, and asks who calls"))
	}
	if c.Kafka.Brokers < 3 {
		faults = append(faults, fault("kafka.brokers", "%d: production needs 3 or more", c.Kafka.Brokers))
	}
	if !c.Mongo.External && c.Mongo.Members != 3 {
		faults = append(faults, fault("mongo.members", "%d: production needs 3, or mongo.external", c.Mongo.Members))
	}
	if s.APIToken == "" && !preview {
		faults = append(faults, fault("apiToken",
			"is not set, and api would let everyone read every topic: run pulumi config set --secret apiToken"))
	}
	return faults
}
