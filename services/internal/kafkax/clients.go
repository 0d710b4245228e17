package kafkax

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// NewAdmin returns a client for requests about topics and groups. It is a producer,
// because the logs of a plain admin client can only go to stderr. The caller must
// close it.
func NewAdmin(cfg Config, clientID string, log *slog.Logger) (*kafka.Producer, error) {
	return newProducer(cfg, clientID, nil, log)
}

// TransactionalConfig is the identity of a transactional producer.
type TransactionalConfig struct {
	ClientID string
	// ID is the transactional id, unique among the running instances.
	ID string
	// Timeout is how long a transaction may stay open before Kafka aborts it.
	Timeout time.Duration
}

// NewTransactional returns a producer for transactions.
func NewTransactional(cfg Config, tc TransactionalConfig, log *slog.Logger) (*kafka.Producer, error) {
	return newProducer(cfg, tc.ClientID, tc.settings(), log)
}

func newProducer(cfg Config, clientID string, settings kafka.ConfigMap, log *slog.Logger) (*kafka.Producer, error) {
	client, err := kafka.NewProducer(merge(cfg.commonSettings(clientID), settings))
	if err != nil {
		return nil, fmt.Errorf("creating the Kafka producer %q: %w", clientID, err)
	}
	go pumpLogs(client.Logs(), log)
	return client, nil
}

func newConsumer(cfg Config, clientID string, settings kafka.ConfigMap, log *slog.Logger) (*kafka.Consumer, error) {
	client, err := kafka.NewConsumer(merge(cfg.commonSettings(clientID), settings))
	if err != nil {
		return nil, fmt.Errorf("creating the Kafka consumer %q: %w", clientID, err)
	}
	go pumpLogs(client.Logs(), log)
	return client, nil
}

// CodeOf returns the Kafka error code that an error carries, or ErrNoError.
func CodeOf(err error) kafka.ErrorCode {
	var e kafka.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return kafka.ErrNoError
}
