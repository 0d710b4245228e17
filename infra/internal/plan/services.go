package plan

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/capacity"
	"shopstream/infra/internal/config"
	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/mongo"
	"shopstream/infra/internal/pod"
)

// The names of the services, their Deployments and their DNS entries.
const (
	WebServer     = "web-server"
	ManagementAPI = "management-api"
	API           = "api"
	Producer      = "producer"
	Consumer      = "consumer"
	TopicsJob     = "topics"
)

const (
	managementGroup = "management-api-group"
	replayGroup     = "management-api-replay"
	consumerGroup   = "consumer-service-group"
)

const (
	// DrainDelay is how long a stopping pod continues to serve, since its address is still in use for a moment.
	DrainDelay = 5 * time.Second

	// ShutdownStep is the time limit of each step of a service's shutdown.
	ShutdownStep = 10 * time.Second
)

// Service is one line of the table of services.
type Service struct {
	Name string
	Key  string // under `services` in the configuration
	Port int
	Size config.Service

	// Env is its environment, without the addresses and credentials of Kafka and the database, which are added where those
	// are declared.
	Env []pod.Env

	// Database gives it the address and the password of the document database. Token gives it the bearer token that its
	// callers must send.
	Database, Token bool

	// Traced says that it is on the way of an event, and records it where the stack has a collector.
	Traced bool

	// Purchases means that every purchase passes through it, so that a load test watches its pods.
	Purchases bool

	Scale Scaling
}

// Scaling is what a service scales on: CPU, or CPU and the lag of a group on a topic.
type Scaling struct {
	Lag   *config.Topic
	Group string

	// KEDA scales on CPU with a ScaledObject instead of a HorizontalPodAutoscaler.
	KEDA bool
}

// Services returns the table of services.
func Services(c config.Config) []Service {
	table := servicesAlone(c)
	for i := range table {
		if c.Tracing.On() && table[i].Traced {
			table[i].Env = append(table[i].Env,
				pod.Value("OTEL_EXPORTER_OTLP_ENDPOINT", c.Tracing.Endpoint), pod.Value("OTEL_TRACES_SAMPLER_ARG", c.Tracing.Share()))
		}
		if name := table[i].Name; c.Tracing.URL != "" && (name == WebServer || name == API) {
			table[i].Env = append(table[i].Env, pod.Value("TRACE_URL", c.Tracing.URL))
		}
		if table[i].Name == API {
			table[i].Env = append(table[i].Env, pod.Value("SYSTEM_PICTURE", NewPicture(c).JSON()))
			if c.Addons.Prometheus {
				table[i].Env = append(table[i].Env, pod.Value("METRICS_URL", metricsURL(c)))
			}
		}
	}
	return table
}

// metricsURL is where Prometheus serves the newest metrics of all services.
func metricsURL(c config.Config) string {
	return fmt.Sprintf("http://prometheus-server.%s.svc/federate", c.Addons.MonitoringNamespace)
}

// servicesAlone is the table without what api needs to know of the others.
func servicesAlone(c config.Config) []Service {
	topics := c.Topics
	return []Service{
		{
			Name: WebServer, Key: "webServer", Port: 8081, Size: c.Services.WebServer, Traced: true,
			Env: []pod.Env{
				pod.Value("PURCHASES_TOPIC", topics.Purchases.Name),
				pod.Value("MANAGEMENT_API_URL", fmt.Sprintf("http://%s:%d", ManagementAPI, managementPort)),
				pod.Value("VIEWER_URL", "/viewer"), // on the same host: see Routes
			},
			Purchases: true, Scale: Scaling{KEDA: true},
		},
		{
			Name: ManagementAPI, Key: "managementApi", Port: managementPort, Size: c.Services.ManagementAPI, Database: true, Traced: true,
			Env: append(membership(c, managementGroup),
				pod.Value("PURCHASES_TOPIC", topics.Purchases.Name),
				pod.Value("PURCHASES_DLQ_TOPIC", topics.PurchasesDLQ.Name),
			),
			Purchases: true, Scale: Scaling{Lag: &topics.Purchases, Group: managementGroup},
		},
		{
			Name: API, Key: "api", Port: 3000, Size: c.Services.API, Token: true,
			Env: append([]pod.Env{pod.Value("DEFAULT_TOPIC", topics.Orders.Name), pod.Value("WAY_URL", "/shop/way/{id}")}, reading(c.Services.API.Memory)...),
		},
		{
			Name: Producer, Key: "producer", Port: 3000, Size: c.Services.Producer, Traced: true,
			Env: []pod.Env{pod.Value("TOPIC", topics.Orders.Name)},
		},
		{
			Name: Consumer, Key: "consumer", Port: 3000, Size: c.Services.Consumer, Traced: true,
			Env: append(membership(c, consumerGroup),
				pod.Value("ORDERS_TOPIC", topics.Orders.Name),
				pod.Value("ORDERS_DLQ_TOPIC", topics.OrdersDLQ.Name),
				pod.Value("TOTALS_TOPIC", topics.ProductTotals.Name),
			),
			Scale: Scaling{Lag: &topics.Orders, Group: consumerGroup},
		},
	}
}

const managementPort = 8080

// membership makes a service a member of a group. On an external Kafka the members set the timeouts, as the classic protocol
// lets them: its brokers may wait 45 s for one that died, which is the default.
func membership(c config.Config, group string) []pod.Env {
	env := []pod.Env{pod.Value("GROUP_ID", group)}
	if c.Kafka.IsExternal() {
		env = append(env, pod.Value("KAFKA_GROUP_PROTOCOL", "classic"))
	}
	return env
}

// CPUTarget is the CPU, in cores, at which its autoscaler keeps each pod on average. It is a share of the limit. A share of the
// request, which is for times when a node has too little, would add pods that nobody needs, and each more of them costs: records
// are sent in smaller batches.
func (s Service) CPUTarget() float64 {
	return float64(s.Size.CPULimit.MilliValue()*int64(s.Size.Target)/100) / 1000
}

// Model is the arithmetic by which a service that reads a topic scales.
func (s Service) Model() capacity.Model {
	return capacity.Model{
		PerPod: float64(s.Size.DrainPerSecond), Target: float64(s.Size.Target) / 100, CatchUp: time.Duration(s.Size.CatchUp),
		Min: s.Size.Min, Max: s.Size.Max, Partitions: s.Scale.Lag.Partitions,
	}
}

// Images returns the names of all images that are built, those that others wait for first.
func Images(c config.Config) []string {
	names := []string{TopicsJob}
	if !c.Kafka.IsExternal() {
		names = []string{kafka.GuardName, TopicsJob}
	}
	if c.Mongo.Backups() {
		names = append(names, mongo.BackupProgram)
	}
	for _, s := range Services(c) {
		names = append(names, s.Name)
	}
	return names
}

// Environment returns the environment of a service: the log level, memory settings, connections, its line of the table,
// and what the stack sets under `env`, which takes precedence.
func (s Service) Environment(logLevel string, connections ...pod.Env) []pod.Env {
	env := append([]pod.Env{pod.Value("LOG_LEVEL", logLevel)}, allocators(s.Size.Memory)...)
	env = append(env, connections...)
	env = append(env, s.Env...)
	for _, name := range slices.Sorted(maps.Keys(s.Size.Env)) {
		env = slices.DeleteFunc(env, func(e pod.Env) bool { return e.Name == name })
		env = append(env, pod.Value(name, s.Size.Env[name]))
	}
	return env
}

// Resources returns the requests and limits of each pod of a service.
func (s Service) Resources() pod.Resources {
	return pod.Resources{CPU: s.Size.CPU, CPULimit: s.Size.CPULimit, Memory: s.Size.Memory}
}

// GuardResources returns the requests and limits of the guard beside each Kafka node.
func GuardResources() pod.Resources {
	return pod.Resources{CPU: resource.MustParse("10m"), CPULimit: resource.MustParse("200m"), Memory: resource.MustParse("48Mi")}
}

// TopicsResources returns the requests and limits of the Job that creates the topics.
func TopicsResources() pod.Resources {
	return pod.Resources{CPU: resource.MustParse("50m"), CPULimit: resource.MustParse("500m"), Memory: resource.MustParse("64Mi")}
}

// BackupResources returns the requests and limits of the Jobs that dump, drill and restore.
func BackupResources() pod.Resources {
	return pod.Resources{CPU: resource.MustParse("50m"), CPULimit: resource.MustParse("1"), Memory: resource.MustParse("128Mi")}
}
