package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"shopstream/services/internal/httpx"
	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/otlp"
	"shopstream/services/internal/telemetry"
)

type config struct {
	Addr  httpx.Addr `env:"HTTP_ADDR" envDefault:":3000" doc:"Address to listen on, host:port; the host may be empty."`
	HTTP  httpx.Config
	Log   telemetry.Config
	Trace otlp.Config
	Kafka kafkax.Config
	Group kafkax.GroupConfig

	OrdersTopic        string        `env:"ORDERS_TOPIC" envDefault:"orders" doc:"Topic of the orders."`
	OrdersDLQTopic     string        `env:"ORDERS_DLQ_TOPIC" envDefault:"orders.dlq" doc:"Topic for orders that can't be counted."`
	TotalsTopic        string        `env:"TOTALS_TOPIC" envDefault:"product-totals" doc:"Compacted topic of the running totals; also the memory from which they are read back."`
	GroupID            string        `env:"GROUP_ID" envDefault:"consumer-service-group" doc:"Consumer group."`
	TransactionalID    string        `env:"TRANSACTIONAL_ID" doc:"Kafka transactional id, unique among the running instances; <GROUP_ID>-<hostname> by default."`
	TransactionTimeout time.Duration `env:"TRANSACTION_TIMEOUT" envDefault:"10s" doc:"How long a transaction may take before Kafka aborts it. That of an instance that has died is usually ended earlier, by whoever takes its partitions over."`
	BatchSize          int           `env:"BATCH_SIZE" envDefault:"10000" doc:"Maximum number of orders in one transaction. It is reached only while there is a backlog."`
	ProductsLimit      int           `env:"PRODUCTS_LIMIT" envDefault:"5000" doc:"How many products each partition of the orders has totals of, which are kept in memory; orders of further ones become dead letters. A name of more than 100 bytes counts as several."`
	BatchLinger        time.Duration `env:"BATCH_LINGER" envDefault:"100ms" doc:"How long a transaction waits for more orders after its first."`
}

// Validate implements envconf.Validator.
func (c config) Validate() error {
	var faults []error
	names := map[string]string{}
	for _, topic := range [][2]string{{"ORDERS_TOPIC", c.OrdersTopic}, {"ORDERS_DLQ_TOPIC", c.OrdersDLQTopic}, {"TOTALS_TOPIC", c.TotalsTopic}} {
		if other, taken := names[topic[1]]; taken {
			faults = append(faults, fmt.Errorf("%s and %s must differ, both are %q", other, topic[0], topic[1]))
		}
		names[topic[1]] = topic[0]
	}
	// The brokers' own bound, transaction.max.timeout.ms, is 15 minutes.
	if c.TransactionTimeout < time.Second || c.TransactionTimeout > 15*time.Minute {
		faults = append(faults, fmt.Errorf("TRANSACTION_TIMEOUT must be from 1s to 15m, not %s", c.TransactionTimeout))
	}
	if c.BatchSize < 1 || c.BatchSize > 50_000 {
		faults = append(faults, fmt.Errorf("BATCH_SIZE must be from 1 to 50000, not %d", c.BatchSize))
	}
	if c.ProductsLimit < 1 {
		faults = append(faults, fmt.Errorf("PRODUCTS_LIMIT must be at least 1, not %d", c.ProductsLimit))
	}
	if c.BatchLinger < 0 || c.BatchLinger > time.Minute {
		faults = append(faults, fmt.Errorf("BATCH_LINGER must be from 0s to 1m, not %s", c.BatchLinger))
	}
	return errors.Join(faults...)
}

// needs are the access rights of the service, in addition to those for transactions.
func (c config) needs() []kafkax.Need {
	return []kafkax.Need{
		kafkax.Reads(c.OrdersTopic), kafkax.Writes(c.OrdersDLQTopic), kafkax.Reads(c.TotalsTopic), kafkax.Writes(c.TotalsTopic),
		kafkax.Joins(c.GroupID),
	}
}

// transactionalID is the same after a restart of the instance, so that the new process
// immediately aborts a transaction that the old one left open.
func (c config) transactionalID() (string, error) {
	if c.TransactionalID != "" {
		return c.TransactionalID, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("reading the hostname for the transactional id (or set TRANSACTIONAL_ID): %w", err)
	}
	return c.GroupID + "-" + host, nil
}
