package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/telemetry"
)

type config struct {
	Log telemetry.Config

	Addr     string        `env:"HTTP_ADDR" envDefault:":9095" doc:"Address to listen on, host:port; the host may be empty."`
	NodeID   int32         `env:"NODE_ID,required,notEmpty" doc:"Id of the Kafka node in the same pod."`
	Role     string        `env:"NODE_ROLE" envDefault:"broker" doc:"Role of the nodes in the node's pool: broker (which may also be a controller) or controller."`
	Servers  string        `env:"KAFKA_BOOTSTRAP_SERVERS,required,notEmpty" doc:"Kafka brokers to connect to first, host:port, comma separated."`
	CAFile   string        `env:"KAFKA_TLS_CA_FILE" doc:"PEM file with the certificate authorities that sign the nodes' certificates; if empty, connections are in plaintext."`
	Key      string        `env:"KAFKA_TLS_KEY_FILE" doc:"PEM file with the node's own key and certificate, with which it authenticates to the brokers."`
	Listener string        `env:"LISTENER" doc:"Address of the node's own TLS listener, host:port, whose certificate is watched."`
	Peers    string        `env:"PEERS,required,notEmpty" doc:"Address of the guard of another node in the pool, such as http://kafka-{index}.kafka-nodes:9095."`
	FirstID  int32         `env:"FIRST_ID" envDefault:"0" doc:"Id of the pool's first node: {index} in PEERS is a node's id minus this."`
	Every    time.Duration `env:"CHECK_INTERVAL" envDefault:"1s" doc:"Time between two checks of the cluster while the node waits for its turn."`
	Alone    time.Duration `env:"ALONE_TIMEOUT" envDefault:"1m" doc:"How long a node waits if all other nodes are about to stop or unreachable: the cluster is then being removed."`
}

// Validate implements envconf.Validator.
func (c config) Validate() error {
	var faults []error
	for name, list := range map[string]string{"HTTP_ADDR": c.Addr, "KAFKA_BOOTSTRAP_SERVERS": c.Servers} {
		for _, server := range strings.Split(list, ",") {
			if _, port, err := net.SplitHostPort(strings.TrimSpace(server)); err != nil || port == "" {
				faults = append(faults, fmt.Errorf("%s: %q is not host:port", name, server))
			}
		}
	}
	if c.Role != "broker" && c.Role != "controller" {
		faults = append(faults, fmt.Errorf("NODE_ROLE must be broker or controller, not %q", c.Role))
	}
	if secured := c.CAFile != ""; secured != (c.Key != "") || secured != (c.Listener != "") {
		faults = append(faults, errors.New("KAFKA_TLS_CA_FILE, KAFKA_TLS_KEY_FILE and LISTENER must be set together"))
	}
	if u, err := url.Parse(c.peer(c.FirstID)); err != nil || u.Scheme != "http" || u.Host == "" || !strings.Contains(c.Peers, "{index}") {
		faults = append(faults, fmt.Errorf("PEERS must be like http://kafka-{index}.kafka-nodes:9095, not %q", c.Peers))
	}
	if c.Every <= 0 || c.Alone <= 0 {
		faults = append(faults, errors.New("CHECK_INTERVAL and ALONE_TIMEOUT must be greater than 0"))
	}
	return errors.Join(faults...)
}

// peer returns the address of another node's guard.
func (c config) peer(id int32) string {
	return strings.ReplaceAll(c.Peers, "{index}", strconv.Itoa(int(id-c.FirstID)))
}

var _ envconf.Validator = config{}
