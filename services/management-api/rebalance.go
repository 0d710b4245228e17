package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/kafkax"
)

// attend handles the events of the group, waiting for one up to wait.
func (c *consumer) attend(wait time.Duration) error {
	switch e := c.client.Poll(int(wait.Milliseconds())).(type) {
	case kafka.OffsetsCommitted:
		if e.Error != nil && kafkax.CodeOf(e.Error) != kafka.ErrNoOffset {
			// The next commit includes these offsets.
			c.log.Warn("committing offsets", "error", e.Error)
		}
	case kafka.Error:
		kafkax.LogError(c.log, e)
		if e.IsFatal() {
			return fmt.Errorf("the consumer failed for good: %w", e)
		}
	}
	if c.failed != nil {
		return c.failed
	}
	c.locate()
	if err := c.storeOffsets(nil); err != nil {
		return err
	}
	return c.commitAgain()
}

// changeLog makes the position in the new log the one to commit. Records of the old
// log that were read already are still written, since they may exist nowhere else,
// but their offsets are not stored.
func (c *consumer) changeLog(change *kafkax.LogChange) error {
	c.filling.forget(change.Partition)
	if c.current != nil {
		c.current.forget(change.Partition)
	}
	c.behind[change.Partition] = true
	label := change.To.Label()
	return c.storeOffsets([]kafka.TopicPartition{{
		Topic: &c.topic, Partition: change.Partition, Offset: kafka.Offset(change.To.Offset), Metadata: &label,
	}})
}

// rebalance restricts the batches and the reader to the partitions of this member.
func (c *consumer) rebalance(client *kafka.Consumer, event kafka.Event) error {
	switch e := event.(type) {
	case kafka.AssignedPartitions:
		if len(e.Partitions) > 0 {
			c.log.Info("partitions assigned", "partitions", numbers(e.Partitions))
		}
		c.failed = errors.Join(c.failed, kafkax.Hold(client, e.Partitions))
		for _, p := range e.Partitions {
			c.owned[p.Partition], c.unlocated[p.Partition], c.behind[p.Partition] = true, true, true
		}
		c.askAt = time.Time{}
	case kafka.RevokedPartitions:
		c.log.Info("partitions revoked", "partitions", numbers(e.Partitions), "lost", client.AssignmentLost())
		if !client.AssignmentLost() {
			// Offsets that are stored now are committed with the revocation.
			c.failed = errors.Join(c.failed, c.settle(revokeWait))
		}
		c.reader.Remove(numbers(e.Partitions)...)
		c.filling.drop(e.Partitions)
		if c.current != nil {
			c.current.drop(e.Partitions)
		}
		for _, p := range e.Partitions {
			delete(c.owned, p.Partition)
			delete(c.unlocated, p.Partition)
			delete(c.unset, p.Partition)
			delete(c.unstored, p.Partition)
			delete(c.behind, p.Partition)
			delete(c.latest, p.Partition)
		}
	}
	return nil
}

func numbers(partitions []kafka.TopicPartition) []int32 {
	list := make([]int32, 0, len(partitions))
	for _, p := range partitions {
		list = append(list, p.Partition)
	}
	return list
}
