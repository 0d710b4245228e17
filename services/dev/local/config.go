package main

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/httpx"
)

// config is the configuration of `make run`. All other variables are passed to the
// services unchanged: `RATE=100 make run` sets the producer's rate.
type config struct {
	DataDir string `env:"DATA_DIR" envDefault:"data" doc:"Folder in which the broker and the database keep their data between runs."`

	BootstrapServers string         `env:"KAFKA_BOOTSTRAP_SERVERS" doc:"An external Kafka cluster to use instead of the embedded broker, host:port, comma separated."`
	Replication      int            `env:"REPLICATION_FACTOR" envDefault:"1" doc:"Replication factor of the topics; the embedded broker has one copy, an external cluster may require 3."`
	MongoURI         envconf.Secret `env:"MONGO_URI" doc:"An external document database to use instead of the embedded one."`
	KafkaPort        int            `env:"KAFKA_PORT" envDefault:"9092" doc:"Port of the embedded broker on 127.0.0.1."`
	MongoPort        int            `env:"MONGO_PORT" envDefault:"27017" doc:"Port of the embedded database on 127.0.0.1."`

	// Loopback by default, so that no other machine on the network can connect.
	WebServer     httpx.Addr `env:"WEB_SERVER_ADDR" envDefault:"127.0.0.1:8081" doc:"Address of the web-server; :8081 serves other machines too."`
	ManagementAPI httpx.Addr `env:"MANAGEMENT_API_ADDR" envDefault:"127.0.0.1:8080" doc:"Address of the management-api."`
	API           httpx.Addr `env:"API_ADDR" envDefault:"127.0.0.1:3000" doc:"Address of the api."`
	Producer      httpx.Addr `env:"PRODUCER_ADDR" envDefault:"127.0.0.1:3001" doc:"Address of the producer."`
	Consumer      httpx.Addr `env:"CONSUMER_ADDR" envDefault:"127.0.0.1:3002" doc:"Address of the consumer."`
	System        httpx.Addr `env:"SYSTEM_ADDR" envDefault:"127.0.0.1:3003" doc:"Address of the live drawing of the system, with buttons that break things; the metrics of all services are served there too."`

	StartTimeout time.Duration `env:"START_TIMEOUT" envDefault:"60s" doc:"How long all services together may take to become ready."`
	StopTimeout  time.Duration `env:"STOP_TIMEOUT" envDefault:"30s" doc:"How long a service may drain before it is killed; the broker and the database have the same time to close."`

	LogLevel slog.Level `env:"LOG_LEVEL" envDefault:"info" doc:"Lowest level that local and the services log: debug, info, warn or error."`
	NoColor  string     `env:"NO_COLOR" doc:"Any value turns colours off; they are used only on a terminal."`
}

// Validate implements envconf.Validator.
func (c config) Validate() error {
	var faults []error
	if c.KafkaPort < 1 || c.KafkaPort > 65535 {
		faults = append(faults, fmt.Errorf("KAFKA_PORT must be from 1 to 65535, not %d", c.KafkaPort))
	}
	if c.MongoPort < 1 || c.MongoPort > 65535 {
		faults = append(faults, fmt.Errorf("MONGO_PORT must be from 1 to 65535, not %d", c.MongoPort))
	}
	if c.Replication < 1 {
		faults = append(faults, errors.New("REPLICATION_FACTOR must be at least 1"))
	}
	if c.BootstrapServers == "" && c.Replication != 1 {
		faults = append(faults, errors.New("REPLICATION_FACTOR must be 1 with the embedded broker, which has one copy"))
	}
	if c.StartTimeout <= 0 || c.StopTimeout <= 0 {
		faults = append(faults, errors.New("START_TIMEOUT and STOP_TIMEOUT must be greater than 0"))
	}
	return errors.Join(faults...)
}
