package cluster

import (
	"context"
	"maps"
	"strings"
)

// Grow adds nodes after the last one, as a StatefulSet does, and waits until all brokers
// are registered.
func (c *Cluster) Grow(ctx context.Context, count int) error {
	first := len(c.nodes)
	if err := c.add(ctx, count); err != nil {
		return err
	}
	for i := first; i < len(c.nodes); i++ {
		if err := c.StartNode(i); err != nil {
			return err
		}
	}
	return c.AwaitBrokers(ctx, len(c.nodes))
}

// Shrink stops the last nodes for good, last first.
func (c *Cluster) Shrink(count int) error {
	for range count {
		last := len(c.nodes) - 1
		if err := c.Stop(last); err != nil {
			return err
		}
		c.nodes = c.nodes[:last]
	}
	return nil
}

// withoutVote changes the environment of a node that isn't a voter as the brokers' command
// does: it becomes a broker only.
func withoutVote(env map[string]string, node int) map[string]string {
	listeners, combined := env["BROKER_LISTENERS"]
	if !combined || node < strings.Count(env["KAFKA_CONTROLLER_QUORUM_VOTERS"], "@") {
		return env
	}
	env = maps.Clone(env)
	env["KAFKA_PROCESS_ROLES"], env["KAFKA_LISTENERS"] = "broker", listeners
	return env
}
