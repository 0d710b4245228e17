package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	Small      = "small"
	Default    = "default"
	Production = "production"
)

func Profiles() []string { return []string{Small, Default, Production} }

// Defaults returns the configuration of a stack that sets only its profile. In production, what depends on the cluster
// (registry, host, certificate) has no default and must be set.
func Defaults(profile string) (Config, error) {
	if !slices.Contains(Profiles(), profile) {
		return Config{}, fmt.Errorf("profile %q: set one of %s", profile, strings.Join(Profiles(), ", "))
	}
	config := profileDefaults(profile)
	config.Ingress.complete()
	return config, nil
}

// profileDefaults returns the same, without settings that follow from others.
func profileDefaults(profile string) Config {
	config := defaultProfile()
	switch profile {
	case Small:
		shrink(&config)
	case Production:
		grow(&config)
	}
	config.Profile = profile
	return config
}

// defaultProfile fits a minikube with 4 CPUs and 6 GiB.
func defaultProfile() Config {
	return Config{
		LogLevel: "info",
		Cluster: Cluster{
			Domain:         "cluster.local",
			Nodes:          1,
			NodeCPU:        quantity("4"),
			NodeMemory:     quantity("6Gi"),
			APIServerPorts: []int{443, 6443, 8443},
		},
		Images: Images{
			Build:     true,
			Load:      []string{"minikube", "image", "load"},
			GoImage:   "golang:1.26-bookworm",
			BaseImage: "gcr.io/distroless/base-debian12:nonroot",
		},
		Kafka: Kafka{
			External: ExternalKafka{TLS: true, ReplicationFactor: 3},
			// The jars of 4.4.0 are on Maven Central, but that an image of it is published could not be confirmed yet.
			Image:    "apache/kafka:4.3.1",
			Brokers:  3,
			Heap:     quantity("384Mi"),
			CPU:      quantity("150m"), // see entrance
			CPULimit: quantity("2"),
			Storage:  quantity("2Gi"),

			MoveRate:      quantity("20Mi"),
			Finalize:      true,
			FinalizeAfter: Duration(time.Hour),
		},
		Topics: Topics{
			Purchases:     Topic{Name: "purchases", Partitions: 24, Retention: days(7)},
			PurchasesDLQ:  Topic{Name: "purchases.dlq", Partitions: 3, Retention: days(30)},
			Orders:        Topic{Name: "orders", Partitions: 24, Retention: days(7)},
			OrdersDLQ:     Topic{Name: "orders.dlq", Partitions: 3, Retention: days(30)},
			ProductTotals: Topic{Name: "product-totals", Partitions: 3},
		},
		Mongo: Mongo{
			ExternalPort: 27017,
			Image:        "mongo:8.0.26",
			Members:      1,
			CPU:          quantity("100m"),
			CPULimit:     quantity("1"),
			Memory:       quantity("512Mi"),
			Storage:      quantity("2Gi"),
			Database:     "shopping",
			Backup: Backup{
				Drill: "30 4 * * 0", Keep: 14, Storage: quantity("5Gi"), S3: S3{Endpoint: "https://s3.amazonaws.com"},
			},
		},
		Services: Services{
			WebServer:     entrance(),
			ManagementAPI: reader(),
			API:           service(5, 70),
			Producer:      service(3, 70),
			Consumer:      reader(),
		},
		Ingress: Ingress{Controller: Nginx, Replicas: 1, ServiceType: "NodePort"},
		Tracing: Tracing{Sampling: 100},
		Addons: Addons{
			KEDA:                true,
			KEDANamespace:       "keda",
			MetricsServer:       true,
			MonitoringNamespace: "monitoring",
			KubeletInsecureTLS:  true,
			Prometheus:          true,
			PrometheusRetention: days(1),
			Grafana:             true,
		},
	}
}

// shrink makes the default profile fit a minikube with 2 CPUs and 4 GiB.
func shrink(c *Config) {
	c.Cluster.NodeCPU = quantity("2")
	c.Cluster.NodeMemory = quantity("4Gi")
	c.Kafka.Brokers = 1
	c.Kafka.Heap = quantity("320Mi")
	c.Kafka.CPU = quantity("100m")
	c.Kafka.CPULimit = quantity("1")
	c.Mongo.Memory = quantity("448Mi")
	c.Addons.Grafana = false // it would leave no memory at all
	for _, s := range c.Services.all() {
		s.CPU = quantity("30m")
		s.Max = min(s.Max, 3)
	}
}

// grow makes the default profile fit three nodes or more.
func grow(c *Config) {
	c.KeepVolumes = true
	c.Tracing.Sampling = 10
	c.Cluster.Nodes = 3
	c.Cluster.NodeCPU = quantity("8")
	c.Cluster.NodeMemory = quantity("32Gi")
	c.Cluster.Zones = true
	c.Images.Load = nil
	c.Images.Platform = "linux/amd64"
	c.Kafka.Controllers = 3
	c.Kafka.Secure = true
	c.Kafka.Heap = quantity("3Gi")
	c.Kafka.CPU = quantity("1")
	c.Kafka.CPULimit = quantity("4")
	c.Kafka.Storage = quantity("100Gi")
	c.Kafka.FinalizeAfter = days(1)
	for _, t := range []*Topic{&c.Topics.Purchases, &c.Topics.Orders} {
		t.Partitions = 48
	}
	c.Mongo.Members = 3
	c.Mongo.CPU = quantity("500m")
	c.Mongo.CPULimit = quantity("2")
	c.Mongo.Memory = quantity("4Gi")
	c.Mongo.Storage = quantity("50Gi")
	c.Mongo.Backup.Schedule = "30 2 * * *"
	c.Mongo.Backup.Storage = quantity("50Gi")
	for _, s := range c.Services.all() {
		s.Min = 2
		s.Max = 12
		s.CPU = quantity("200m")
		s.CPULimit = quantity("1")
		s.Memory = quantity("256Mi")
	}
	c.Services.Producer.Min = 1
	c.Services.Producer.Max = 3
	c.Ingress.Controller = Traefik
	c.Ingress.Replicas = 2
	c.Ingress.ServiceType = "LoadBalancer"
	c.Addons.KubeletInsecureTLS = false
	c.Addons.PrometheusRetention = days(15)
	c.Addons.PrometheusStorage = quantity("20Gi")
}

func service(most, target int) Service {
	return Service{
		Min: 1, Max: most, Target: target,
		CPU: quantity("50m"), CPULimit: quantity("500m"), Memory: quantity("128Mi"),
	}
}

// entrance is the service that every purchase goes through first. While a node has too little CPU, pods get it by their
// requests. What waits at the brokers is written in larger batches, and costs them less; what waits here only waits. So this
// service and the ingress controller request what they use under load, and a broker on the same node no more than either.
func entrance() Service {
	s := service(5, 70)
	s.CPU = quantity("200m")
	return s
}

// reader is a service that reads a topic, and scales on lag.
func reader() Service {
	s := service(6, 80)
	s.CPU = quantity("100m")
	s.DrainPerSecond, s.CatchUp = 5000, Duration(30*time.Second)
	return s
}

// namedService is the settings of a service with its key in the configuration.
type namedService struct {
	*Service

	key string
}

// all returns every service's settings, for reading or changing.
func (s *Services) all() []namedService {
	return []namedService{
		{&s.WebServer, "webServer"}, {&s.ManagementAPI, "managementApi"}, {&s.API, "api"},
		{&s.Producer, "producer"}, {&s.Consumer, "consumer"},
	}
}

func quantity(text string) resource.Quantity { return resource.MustParse(text) }

func days(n int) Duration { return Duration(time.Duration(n) * 24 * time.Hour) }
