package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/kafkax"
)

// cluster makes the requests to Kafka that need no records: whether it is reachable,
// its topics, its groups and its brokers. Safe for concurrent use.
type cluster struct {
	config kafkax.Config
	client client
	direct *kgo.Client // for requests that librdkafka lacks
	log    *slog.Logger

	// open is read-locked by every call, so that the client isn't closed during one.
	open   sync.RWMutex
	closed bool
}

func newCluster(cfg kafkax.Config, log *slog.Logger) (*cluster, error) {
	c, err := newClient(cfg, log)
	if err != nil {
		return nil, err
	}
	direct, err := cfg.Direct("api")
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &cluster{config: cfg, client: c, direct: direct, log: log}, nil
}

// Run takes the client's events, which would pile up otherwise.
func (c *cluster) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err, ok := c.client.Poll(200).(kafka.Error); ok {
			kafkax.LogError(c.log, err)
			if err.IsFatal() {
				return fmt.Errorf("the admin client failed for good: %w", err)
			}
		}
	}
	c.open.Lock()
	defer c.open.Unlock()
	c.closed = true
	c.direct.Close()
	if err := c.client.Close(); err != nil {
		return fmt.Errorf("closing the admin client: %w", err)
	}
	return nil
}

// use calls f with the client, unless the client is closed.
func (c *cluster) use(f func(client) error) error {
	c.open.RLock()
	defer c.open.RUnlock()
	if c.closed {
		return fmt.Errorf("%w: the service is shutting down", errUnavailable)
	}
	return f(c.client)
}

// reachable is the health probe: it succeeds if any broker answers. It asks for no
// topic, since the service reads any topic. (DescribeCluster would go to the
// controller, and wait for it.)
func (c *cluster) reachable(ctx context.Context) error {
	err := c.use(func(cl client) error {
		return ask(ctx, "asking for the brokers", func(_ context.Context, timeout time.Duration) error {
			_, err := cl.GetMetadata(nil, false, int(timeout.Milliseconds()))
			return err
		})
	})
	if err != nil {
		return c.config.Explained(ctx, err)
	}
	return nil
}

// askDirect sends one request through the direct client, within the time limit of a
// request.
func (c *cluster) askDirect(ctx context.Context, what string, question func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, kafkax.AnswerTimeout)
	defer cancel()
	err := question(bounded)
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err() // the caller has disconnected
	case bounded.Err() != nil:
		return fmt.Errorf("%s: %w: %w", what, errUnavailable, err)
	}
	return brokerError(bounded, what, err)
}
