package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/kafkax"
)

// cluster reads and changes topics.
type cluster struct {
	config kafkax.Config
	client *kafka.Producer
	admin  *kafka.AdminClient

	// external says that others own the cluster.
	external bool
}

func connect(cfg kafkax.Config, external bool, log *slog.Logger) (*cluster, error) {
	client, err := kafkax.NewAdmin(cfg, "topics", log)
	if err != nil {
		return nil, err
	}
	go func() {
		for event := range client.Events() {
			if err, ok := event.(kafka.Error); ok {
				kafkax.LogError(log, err)
			}
		}
	}()
	admin, err := kafka.NewAdminClientFromProducer(client)
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("creating the admin client: %w", err)
	}
	return &cluster{config: cfg, client: client, admin: admin, external: external}, nil
}

func (c *cluster) close() {
	c.admin.Close()
	c.client.Close()
}

// read returns how many brokers are up and the declared topics that exist.
func (c *cluster) read(ctx context.Context, declared []topic) (brokers int, now map[string]*actual, err error) {
	wait := kafkax.ChangeTimeout
	if deadline, ok := ctx.Deadline(); ok {
		wait = max(min(wait, time.Until(deadline)), time.Millisecond)
	}
	// All topics: asking for a missing topic by name is an error.
	md, err := c.admin.GetMetadata(nil, true, int(wait.Milliseconds()))
	if err != nil {
		return 0, nil, c.config.Explained(ctx, fmt.Errorf("no broker answers: %w", err))
	}
	now = map[string]*actual{}
	var resources []kafka.ConfigResource
	for _, want := range declared {
		t, exists := md.Topics[want.name]
		if !exists || len(t.Partitions) == 0 {
			continue
		}
		now[want.name] = topicOf(t)
		resources = append(resources, kafka.ConfigResource{Type: kafka.ResourceTopic, Name: want.name})
	}
	if len(resources) == 0 {
		return len(md.Brokers), now, nil
	}
	described, err := c.admin.DescribeConfigs(ctx, resources, kafka.SetAdminRequestTimeout(kafkax.ChangeTimeout))
	if err != nil {
		return 0, nil, fmt.Errorf("reading the topics' config: %w", err)
	}
	for _, r := range described {
		if c.external && r.Error.Code() == kafka.ErrTopicAuthorizationFailed {
			continue
		}
		if r.Error.Code() != kafka.ErrNoError {
			return 0, nil, fmt.Errorf("reading the config of topic %q: %w", r.Name, r.Error)
		}
		now[r.Name].overrides, now[r.Name].config = map[string]string{}, map[string]string{}
		for key, entry := range r.Config {
			now[r.Name].config[key] = entry.Value
			if entry.Source == kafka.ConfigSourceDynamicTopic {
				now[r.Name].overrides[key] = entry.Value
			}
		}
	}
	return len(md.Brokers), now, nil
}

func topicOf(t kafka.TopicMetadata) *actual {
	a := &actual{partitions: len(t.Partitions)}
	counts := map[int]bool{}
	for _, p := range t.Partitions {
		counts[len(p.Replicas)] = true
		if p.Leader < 0 {
			a.leaderless = append(a.leaderless, p.ID)
		}
	}
	a.replication = slices.Sorted(maps.Keys(counts))
	return a
}

// create, grow and configure change many topics with one request. The result has
// the error of each topic that failed, by name; the error is that of the request as
// a whole.

func (c *cluster) create(ctx context.Context, topics []topic) (map[string]error, error) {
	var specs []kafka.TopicSpecification
	for _, t := range topics {
		specs = append(specs, kafka.TopicSpecification{Topic: t.name, NumPartitions: t.partitions, ReplicationFactor: t.replication, Config: t.config})
	}
	results, err := c.admin.CreateTopics(ctx, specs, kafka.SetAdminRequestTimeout(kafkax.ChangeTimeout), kafka.SetAdminOperationTimeout(kafkax.ChangeTimeout))
	if err != nil {
		return nil, fmt.Errorf("creating topics: %w", err)
	}
	return failed(results), nil
}

func (c *cluster) grow(ctx context.Context, to map[string]int) (map[string]error, error) {
	var specs []kafka.PartitionsSpecification
	for name, count := range to {
		specs = append(specs, kafka.PartitionsSpecification{Topic: name, IncreaseTo: count})
	}
	results, err := c.admin.CreatePartitions(ctx, specs, kafka.SetAdminRequestTimeout(kafkax.ChangeTimeout), kafka.SetAdminOperationTimeout(kafkax.ChangeTimeout))
	if err != nil {
		return nil, fmt.Errorf("adding partitions: %w", err)
	}
	return failed(results), nil
}

func (c *cluster) configure(ctx context.Context, plans map[string]plan) (map[string]error, error) {
	var resources []kafka.ConfigResource
	for name, p := range plans {
		var entries []kafka.ConfigEntry
		for key, value := range p.set {
			entries = append(entries, kafka.ConfigEntry{Name: key, Value: value, IncrementalOperation: kafka.AlterConfigOpTypeSet})
		}
		for _, key := range p.reset {
			entries = append(entries, kafka.ConfigEntry{Name: key, IncrementalOperation: kafka.AlterConfigOpTypeDelete})
		}
		resources = append(resources, kafka.ConfigResource{Type: kafka.ResourceTopic, Name: name, Config: entries})
	}
	results, err := c.admin.IncrementalAlterConfigs(ctx, resources, kafka.SetAdminRequestTimeout(kafkax.ChangeTimeout))
	if err != nil {
		return nil, fmt.Errorf("changing topics' config: %w", err)
	}
	errs := map[string]error{}
	for _, r := range results {
		if r.Error.Code() != kafka.ErrNoError {
			errs[r.Name] = r.Error
		}
	}
	return errs, nil
}

func failed(results []kafka.TopicResult) map[string]error {
	errs := map[string]error{}
	for _, r := range results {
		if r.Error.Code() != kafka.ErrNoError {
			errs[r.Topic] = r.Error
		}
	}
	return errs
}

// raced reports whether another run has made the same change first.
func raced(err error) bool {
	var ke kafka.Error
	return errors.As(err, &ke) && (ke.Code() == kafka.ErrTopicAlreadyExists || ke.Code() == kafka.ErrInvalidPartitions)
}

// final reports whether a retry would fail too: the declaration or the access rights
// have to change.
func final(err error) bool {
	var ke kafka.Error
	if !errors.As(err, &ke) {
		return false
	}
	switch ke.Code() {
	case kafka.ErrInvalidConfig, kafka.ErrInvalidRequest, kafka.ErrInvalidArg, kafka.ErrPolicyViolation, kafka.ErrTopicException, kafka.ErrUnsupportedVersion,
		kafka.ErrTopicAuthorizationFailed, kafka.ErrClusterAuthorizationFailed, kafka.ErrSecurityDisabled:
		return true
	}
	return false
}
