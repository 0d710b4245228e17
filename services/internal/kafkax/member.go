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
	return newConsumer(cfg, mc.ClientID, mc.settings(), log)
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

// Commit commits offsets now, within AnswerTimeout. A member does so by itself only where an offset
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
	case <-time.After(AnswerTimeout):
		return fmt.Errorf("committing offsets: no answer within %s", AnswerTimeout)
	}
}
