package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/kafkax"
)

// cluster makes the requests to Kafka that need no records: whether it is reachable,
// its topics, its groups and its brokers. Safe for concurrent use.
//
// Its client isn't librdkafka's, whose requests to coordinators can end the process if
// their broker goes away meanwhile: https://github.com/confluentinc/librdkafka/issues/4605.
type cluster struct {
	config kafkax.Config
	client *kgo.Client
	admin  *kadm.Client  // the same one
	asked  chan struct{} // one slot for each question under way
}

// mostQuestions limits the questions under way, including those whose callers have left.
const mostQuestions = 32

func newCluster(cfg kafkax.Config) (*cluster, error) {
	client, err := cfg.Direct("api")
	if err != nil {
		return nil, err
	}
	return &cluster{config: cfg, client: client, admin: kadm.NewClient(client), asked: make(chan struct{}, mostQuestions)}, nil
}

// Run keeps the client open until ctx ends.
func (c *cluster) Run(ctx context.Context) error {
	<-ctx.Done()
	c.client.Close()
	return nil
}

// reachable is the health probe: it succeeds if any broker answers. It asks for no
// topic, since the service reads any topic. (DescribeCluster would go to the
// controller, and wait for it.)
func (c *cluster) reachable(ctx context.Context) error {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{} // nil would request all topics
	err := c.ask(ctx, "asking for the brokers", func(ctx context.Context) error {
		_, err := request.RequestWith(ctx, c.client) // kadm may answer from a cache
		return err
	})
	if err != nil {
		return c.config.Explained(ctx, err)
	}
	return nil
}

// ask asks the brokers within the time limit of a request, and classifies the error. What
// the question sets may only be read if there is no error.
func (c *cluster) ask(ctx context.Context, what string, question func(context.Context) error) error {
	err := c.await(ctx, question)
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err() // the caller has left
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w: %w", what, errUnavailable, err)
	}
	return brokerError(context.WithoutCancel(ctx), what, err)
}

// await awaits the answer to a question. The question isn't cancelled when the caller
// leaves: that would close a connection on which others await responses.
func (c *cluster) await(ctx context.Context, question func(context.Context) error) error {
	select {
	case c.asked <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	answer := make(chan error, 1)
	go func() {
		defer func() { <-c.asked }()
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), kafkax.AnswerTimeout)
		defer cancel()
		answer <- question(bounded)
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
