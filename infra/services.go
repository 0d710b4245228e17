package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"shopstream/infra/internal/pod"
)

// The names that the rest of the world finds the services by.
const (
	webServer     = "web-server"
	managementAPI = "management-api"
	apiService    = "api"
	producer      = "producer"
	consumer      = "consumer"
	topicsJob     = "topics"
)

const (
	managementGroup = "management-api-group"
	replayGroup     = "management-api-replay"
	consumerGroup   = "consumer-service-group"
)

const (
	// drainDelay covers the time that a stopping pod's address is still handed out.
	drainDelay = 5 * time.Second

	// shutdownStep bounds each step of a service's end.
	shutdownStep = 10 * time.Second
)

// serviceSpec is one line of the table of services.
type serviceSpec struct {
	name string
	key  string // in the configuration
	port int
	size ServiceConfig
	env  []pod.Env

	scale scaling
}

// scaling is what a service scales on: CPU, or the lag of a group on a topic.
type scaling struct {
	lag   *TopicConfig
	group string

	// keda has KEDA watch the CPU as well, where nothing but a plain autoscaler would be needed.
	keda bool
}

// services returns the table of services. What they get to know of Kafka and of the database is added where those
// are declared.
func (c Config) services() []serviceSpec {
	topics := c.Topics
	return []serviceSpec{
		{
			name: webServer, key: "webServer", port: 8081, size: c.Services.WebServer,
			env: []pod.Env{
				pod.Value("PURCHASES_TOPIC", topics.Purchases.Name),
				pod.Value("MANAGEMENT_API_URL", fmt.Sprintf("http://%s:%d", managementAPI, managementPort)),
			},
			scale: scaling{keda: true},
		},
		{
			name: managementAPI, key: "managementApi", port: managementPort, size: c.Services.ManagementAPI,
			env: []pod.Env{
				pod.Value("PURCHASES_TOPIC", topics.Purchases.Name),
				pod.Value("PURCHASES_DLQ_TOPIC", topics.PurchasesDLQ.Name),
				pod.Value("GROUP_ID", managementGroup),
			},
			scale: scaling{lag: &topics.Purchases, group: managementGroup},
		},
		{
			name: apiService, key: "api", port: 3000, size: c.Services.API,
			env: append([]pod.Env{pod.Value("DEFAULT_TOPIC", topics.Orders.Name)}, reading(c.Services.API.Memory)...),
		},
		{
			name: producer, key: "producer", port: 3000, size: c.Services.Producer,
			env: []pod.Env{pod.Value("TOPIC", topics.Orders.Name)},
		},
		{
			name: consumer, key: "consumer", port: 3000, size: c.Services.Consumer,
			env: []pod.Env{
				pod.Value("ORDERS_TOPIC", topics.Orders.Name),
				pod.Value("ORDERS_DLQ_TOPIC", topics.OrdersDLQ.Name),
				pod.Value("TOTALS_TOPIC", topics.ProductTotals.Name),
				pod.Value("GROUP_ID", consumerGroup),
			},
			scale: scaling{lag: &topics.Orders, group: consumerGroup},
		},
	}
}

const managementPort = 8080

// images returns the names of everything that is built.
func (c Config) images() []string {
	names := []string{topicsJob}
	for _, s := range c.services() {
		names = append(names, s.name)
	}
	return names
}

// environment puts together what a service is started with: the table, what it was given to connect with, and what
// the stack adds. The stack's own settings come last and win.
func (s serviceSpec) environment(c Config, connections ...pod.Env) []pod.Env {
	env := append([]pod.Env{pod.Value("LOG_LEVEL", c.LogLevel)}, allocators(s.size.Memory)...)
	env = append(env, connections...)
	env = append(env, s.env...)
	for _, name := range slices.Sorted(maps.Keys(s.size.Env)) {
		env = slices.DeleteFunc(env, func(e pod.Env) bool { return e.Name == name })
		env = append(env, pod.Value(name, s.size.Env[name]))
	}
	return env
}

func (s ServiceConfig) resources() pod.Resources {
	return pod.Resources{CPU: s.CPU, CPULimit: s.CPULimit, Memory: s.Memory}
}

// topicsResources is what the Job that makes the topics asks for.
func topicsResources() pod.Resources {
	return pod.Resources{CPU: quantity("50m"), CPULimit: quantity("500m"), Memory: quantity("64Mi")}
}
