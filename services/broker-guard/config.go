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

	Addr    string        `env:"HTTP_ADDR" envDefault:":9095" doc:"Address to listen on, host:port; the host may be empty."`
	NodeID  int32         `env:"NODE_ID,required,notEmpty" doc:"Id of the Kafka node beside it."`
	Role    string        `env:"NODE_ROLE" envDefault:"broker" doc:"What the node's pool is made of: broker (which may be a controller, too) or controller."`
	Servers string        `env:"KAFKA_BOOTSTRAP_SERVERS,required,notEmpty" doc:"Kafka brokers to start from, host:port, comma separated."`
	CAFile  string        `env:"KAFKA_TLS_CA_FILE" doc:"PEM file with the authorities that sign the nodes' certificates; without it, the connection is plain."`
	Key     string        `env:"KAFKA_TLS_KEY_FILE" doc:"PEM file with the node's own key and certificate, by which it is known to the brokers."`
	Peers   string        `env:"PEERS,required,notEmpty" doc:"Address of the guard beside another node of the pool, such as http://kafka-{index}.kafka-nodes:9095."`
	FirstID int32         `env:"FIRST_ID" envDefault:"0" doc:"Id of the pool's first node: {index} in PEERS is a node's id less this."`
	Every   time.Duration `env:"CHECK_INTERVAL" envDefault:"1s" doc:"Time between two looks at the cluster while the node waits for its turn."`
	Alone   time.Duration `env:"ALONE_TIMEOUT" envDefault:"1m" doc:"How long a node waits when nobody else is left that isn't about to stop: the cluster is being removed then."`
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
	if (c.CAFile == "") != (c.Key == "") {
		faults = append(faults, errors.New("KAFKA_TLS_CA_FILE and KAFKA_TLS_KEY_FILE go together"))
	}
	if u, err := url.Parse(c.peer(c.FirstID)); err != nil || u.Scheme != "http" || u.Host == "" || !strings.Contains(c.Peers, "{index}") {
		faults = append(faults, fmt.Errorf("PEERS must be like http://kafka-{index}.kafka-nodes:9095, not %q", c.Peers))
	}
	if c.Every <= 0 || c.Alone <= 0 {
		faults = append(faults, errors.New("CHECK_INTERVAL and ALONE_TIMEOUT must be positive"))
	}
	return errors.Join(faults...)
}

// peer is the address of the guard beside a node.
func (c config) peer(id int32) string {
	return strings.ReplaceAll(c.Peers, "{index}", strconv.Itoa(int(id-c.FirstID)))
}

var _ envconf.Validator = config{}
