package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"shopstream/services/internal/httpx"
)

// service is one of the platform's binaries, as it runs here.
type service struct {
	name     string
	addr     httpx.Addr
	variable string   // the variable that sets addr
	env      []string // for this service only
	finishes bool     // an exit without an error is not a fault
}

// stages returns the services in the order in which they drain: first those that create
// events, then those that process them.
func stages(cfg config) [][]service {
	web := service{name: "web-server", addr: cfg.WebServer, variable: "WEB_SERVER_ADDR"}
	management := service{name: "management-api", addr: cfg.ManagementAPI, variable: "MANAGEMENT_API_ADDR"}
	api := service{name: "api", addr: cfg.API, variable: "API_ADDR"}
	// With COUNT set, the producer ends after that many events.
	producer := service{name: "producer", addr: cfg.Producer, variable: "PRODUCER_ADDR", finishes: true}
	consumer := service{name: "consumer", addr: cfg.Consumer, variable: "CONSUMER_ADDR"}

	// Set here, so that a GROUP_ID in the user's environment can't put two services
	// into one group.
	management.env = []string{"GROUP_ID=management-api-group"}
	consumer.env = []string{"GROUP_ID=consumer-service-group"}
	// As in a cluster, nothing but this gives api the metrics of the others.
	api.env = []string{"METRICS_URL=" + service{addr: cfg.System}.url("/federate"), "WAY_URL=" + web.url("/shop/way/{id}")}
	web.env = []string{"MANAGEMENT_API_URL=" + management.url(""), "VIEWER_URL=" + api.url("/viewer")}
	return [][]service{{web, producer}, {management, consumer, api}}
}

// url returns the service's URL on this machine.
func (s service) url(path string) string { return "http://" + s.host() + path }

func (s service) host() string {
	host, port, _ := net.SplitHostPort(string(s.addr)) // httpx.Addr has parsed it
	switch host {
	case "", "0.0.0.0", "::", "127.0.0.1":
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// environment returns the environment of every child: defaults that the user may change,
// then the user's own variables, then what connects the platform's parts.
func environment(environ []string, kafka, mongo string) []string {
	env := []string{
		"LOG_FORMAT=text",
		"SHUTDOWN_TIMEOUT=5s", // a service has up to four steps, together within STOP_TIMEOUT
	}
	env = append(env, environ...)
	return append(env, "KAFKA_BOOTSTRAP_SERVERS="+kafka, "MONGO_URI="+mongo)
}

// findBinaries returns the folder of this executable, where the build puts all binaries.
func findBinaries(names ...string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this executable: %w", err)
	}
	dir := filepath.Dir(self)
	var missing []string
	for _, name := range names {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.IsDir() {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return "", errors.New("no " + strings.Join(missing, ", ") + " in " + dir + ": build all binaries with `make build`")
	}
	return dir, nil
}
