package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
)

// topic is one entry of the declaration that the topics binary reads.
type topic struct {
	Name              string            `json:"name"`
	Partitions        int               `json:"partitions"`
	ReplicationFactor int               `json:"replicationFactor"`
	Config            map[string]string `json:"config"`
}

// declaredTopics are the platform's topics. Their size is limited, so that a load test that
// is left running doesn't fill the disk: 64 MiB per partition of the event topics, and a
// week. Dead letters are kept until somebody has dealt with them.
func declaredTopics(replication int) []topic {
	events := map[string]string{
		"cleanup.policy":  "delete",
		"retention.ms":    strconv.Itoa(7 * 24 * 60 * 60 * 1000),
		"retention.bytes": strconv.Itoa(64 << 20),
		"segment.bytes":   strconv.Itoa(16 << 20),
	}
	letters := map[string]string{"cleanup.policy": "delete", "retention.ms": "-1"}
	return []topic{
		{Name: "purchases", Partitions: 6, ReplicationFactor: replication, Config: events},
		{Name: "purchases.dlq", Partitions: 3, ReplicationFactor: replication, Config: letters},
		{Name: "orders", Partitions: 6, ReplicationFactor: replication, Config: events},
		{Name: "orders.dlq", Partitions: 3, ReplicationFactor: replication, Config: letters},
		{Name: "product-totals", Partitions: 3, ReplicationFactor: replication, Config: map[string]string{"cleanup.policy": "compact"}},
	}
}

// createTopics runs the topics binary, as the cluster's Job does.
func createTopics(ctx context.Context, bin string, environ []string, replication int, out io.Writer) error {
	declaration, err := json.Marshal(declaredTopics(replication))
	if err != nil {
		return fmt.Errorf("declaring the topics: %w", err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "topics"))
	cmd.Env = append(environ, "TOPICS="+string(declaration), "TIMEOUT=30s")
	cmd.Stdout, cmd.Stderr = out, out
	isolate(cmd)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("creating the topics: %w", err)
	}
	return nil
}
