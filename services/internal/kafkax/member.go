package kafkax

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// MemberConfig says which group to join, and how.
type MemberConfig struct {
	ClientID string
	GroupID  string
	// SessionTimeout is how long the group waits for a member that says nothing
	// before its partitions go to others. Brokers allow 6 s at least.
	SessionTimeout time.Duration
	// AutoCommit commits the stored offsets every second, on a rebalance and on
	// leaving. Without it the offsets are committed in transactions.
	AutoCommit bool
}

// NewMember returns a client that is a member of a group, and no more than
// that: Hold keeps it from fetching, which is a Reader's part.
func NewMember(cfg Config, mc MemberConfig, log *slog.Logger) (*kafka.Consumer, error) {
	client, err := kafka.NewConsumer(Merge(cfg.ClientConfig(mc.ClientID), kafka.ConfigMap{
		"group.id": mc.GroupID,
		// A rebalance takes from a member only what another gets.
		"partition.assignment.strategy": "cooperative-sticky",
		"session.timeout.ms":            int(mc.SessionTimeout.Milliseconds()),
		"heartbeat.interval.ms":         1000, // how soon a member learns of a rebalance
		// Offsets are stored by hand, once all before them is finished.
		"enable.auto.offset.store": false,
		"enable.auto.commit":       mc.AutoCommit,
		"auto.commit.interval.ms":  1000,
		// Asks for offsets that no open transaction can still change.
		"isolation.level": "read_committed",
		// How soon an added partition is assigned; five minutes otherwise.
		"topic.metadata.refresh.interval.ms": 5000,
	}))
	if err != nil {
		return nil, fmt.Errorf("creating the member of group %q: %w", mc.GroupID, err)
	}
	go PumpLogs(client.Logs(), log)
	return client, nil
}

// Hold takes partitions into a member's assignment, as its rebalance callback
// has to, without ever fetching from them: it stands at their end, paused.
func Hold(client *kafka.Consumer, partitions []kafka.TopicPartition) error {
	held := make([]kafka.TopicPartition, len(partitions))
	for i, p := range partitions {
		held[i] = kafka.TopicPartition{Topic: p.Topic, Partition: p.Partition, Offset: kafka.OffsetEnd}
	}
	if err := client.IncrementalAssign(held); err != nil {
		return fmt.Errorf("taking partitions: %w", err)
	}
	if err := client.Pause(held); err != nil {
		return fmt.Errorf("holding partitions: %w", err)
	}
	return nil
}

// commitTimeout bounds how long Commit waits for the coordinator.
const commitTimeout = 2 * time.Second

// Commit commits offsets now. A member does so by itself only where an offset
// is greater than the last it has committed for the partition; that one may be
// of a log that is gone.
func Commit(client *kafka.Consumer, offsets []kafka.TopicPartition) error {
	answer := make(chan error, 1)
	go func() {
		results, err := client.CommitOffsets(offsets)
		for _, p := range results {
			err = errors.Join(err, p.Error)
		}
		answer <- err
	}()
	select {
	case err := <-answer:
		if err != nil {
			return fmt.Errorf("committing offsets: %w", err)
		}
		return nil
	case <-time.After(commitTimeout):
		return fmt.Errorf("committing offsets: no answer within %s", commitTimeout)
	}
}

// CodeOf returns the Kafka error code that an error carries, or ErrNoError.
func CodeOf(err error) kafka.ErrorCode {
	var e kafka.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return kafka.ErrNoError
}
