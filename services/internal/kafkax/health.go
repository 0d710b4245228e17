package kafkax

import (
	"context"
	"fmt"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// MetadataClient is any client: producer, consumer or admin.
type MetadataClient interface {
	GetMetadata(topic *string, allTopics bool, timeoutMs int) (*kafka.Metadata, error)
}

// Reachable asks for a topic's metadata. It fails when no broker answers
// before ctx ends, when the topic is not there or when a partition of it has
// no leader.
func Reachable(ctx context.Context, client MetadataClient, topic string) error {
	wait := 2 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		wait = max(time.Until(deadline), time.Millisecond)
	}
	md, err := client.GetMetadata(&topic, false, int(wait.Milliseconds()))
	if err != nil {
		return fmt.Errorf("no broker answers: %w", err)
	}
	t, ok := md.Topics[topic]
	if !ok || t.Error.Code() == kafka.ErrUnknownTopicOrPart || len(t.Partitions) == 0 {
		return fmt.Errorf("topic %q does not exist", topic)
	}
	for _, p := range t.Partitions {
		if p.Leader < 0 {
			return fmt.Errorf("partition %d of topic %q has no leader", p.ID, topic)
		}
	}
	return nil
}
