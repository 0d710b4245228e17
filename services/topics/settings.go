package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

// set and unset are changes of one setting; several values form a list.
func set(key string, values ...string) kadm.AlterConfig {
	return kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: kadm.StringPtr(strings.Join(values, ","))}
}

func unset(key string) kadm.AlterConfig {
	return kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key}
}

func (m *mover) setBrokers(ctx context.Context, ids []int32, changes ...kadm.AlterConfig) error {
	responses, err := m.admin.AlterBrokerConfigs(ctx, changes, ids...)
	return settled("brokers", changes, responses, err)
}

func (m *mover) setTopics(ctx context.Context, names []string, changes ...kadm.AlterConfig) error {
	responses, err := m.admin.AlterTopicConfigs(ctx, changes, names...)
	return settled("topics", changes, responses, err)
}

func settled(of string, changes []kadm.AlterConfig, responses kadm.AlterConfigsResponses, err error) error {
	if err != nil {
		return fmt.Errorf("setting the %s' %s: %w", of, changes[0].Name, err)
	}
	for _, r := range responses {
		if r.Err != nil {
			return fmt.Errorf("setting %s of %q: %w %s", changes[0].Name, r.Name, r.Err, r.ErrMessage)
		}
	}
	return nil
}

const minInSync = "min.insync.replicas"

// secure requires as many replicas of Kafka's internal topics to be in sync as of the
// declared ones. Callers must have given them that many replicas before.
func (m *mover) secure(ctx context.Context, count int) error {
	md, err := m.metadata(ctx)
	if err != nil {
		return err
	}
	var own []string
	for _, t := range md.Topics {
		if t.IsInternal {
			own = append(own, *t.Topic)
		}
	}
	if len(own) == 0 {
		return nil
	}
	configs, err := m.admin.DescribeTopicConfigs(ctx, own...)
	if err != nil {
		return fmt.Errorf("reading Kafka's internal topics: %w", err)
	}
	for _, c := range configs {
		for _, entry := range c.Configs {
			if now, err := strconv.Atoi(entry.MaybeValue()); entry.Key != minInSync || err != nil || now >= count {
				continue
			}
			if err := m.setTopics(ctx, []string{c.Name}, set(minInSync, strconv.Itoa(count))); err != nil {
				return err
			}
			m.log.Info("raised min.insync.replicas", "topic", c.Name, "min_insync_replicas", count)
		}
	}
	return nil
}
