package kafkax

import (
	"context"
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
	Group    GroupConfig
	// SessionTimeout is how long a group with the classic protocol waits for a silent
	// member before it assigns its partitions to others. Brokers require at least 6 s.
	// With the protocol "consumer" it is a setting of the brokers.
	SessionTimeout time.Duration
	// AutoCommit commits the stored offsets five times a second, on a rebalance and on
	// leaving the group. Without it offsets are committed in transactions.
	AutoCommit bool
}

// NewMember returns a client that joins a group but reads nothing: Hold keeps it
// from fetching, which is a Reader's task. It waits until a broker has answered, or
// ctx ends.
func NewMember(ctx context.Context, cfg Config, mc MemberConfig, log *slog.Logger) (*kafka.Consumer, error) {
	protocol, err := mc.Group.choose(ctx, cfg, mc.ClientID, log)
	if err != nil {
		return nil, fmt.Errorf("choosing the protocol of group %q: %w", mc.GroupID, err)
	}
	return newConsumer(cfg, mc.ClientID, mc.settings(protocol), log)
}

// Hold adds partitions to a member's assignment, as its rebalance callback must,
// without fetching from them: they are paused, with the position at their end.
func Hold(client *kafka.Consumer, partitions []kafka.TopicPartition) error {
	held := make([]kafka.TopicPartition, len(partitions))
	for i, p := range partitions {
		held[i] = kafka.TopicPartition{Topic: p.Topic, Partition: p.Partition, Offset: kafka.OffsetEnd}
	}
	if err := client.IncrementalAssign(held); err != nil {
		return fmt.Errorf("assigning partitions: %w", err)
	}
	if err := client.Pause(held); err != nil {
		return fmt.Errorf("pausing partitions: %w", err)
	}
	return nil
}

// Leave leaves the group, after the stored offsets were committed if the member commits
// by itself, and closes the client. It waits no longer than within: unreachable brokers
// notice by themselves that a member is gone.
func Leave(client *kafka.Consumer, within time.Duration, log *slog.Logger) {
	left := make(chan error, 1)
	go func() { left <- leave(client) }()
	select {
	case err := <-left:
		if err != nil {
			log.Warn("leaving the group", "error", err)
		}
	case <-time.After(within):
		log.Warn("the group was not left in time")
	}
}

// leave unsubscribes and answers what the group has assigned already, so that nothing is
// assigned while the client closes: it would wait for itself for ever (confluent-kafka-go
// issue 1016).
func leave(client *kafka.Consumer) error {
	if err := client.Unsubscribe(); err != nil {
		return errors.Join(fmt.Errorf("unsubscribing: %w", err), client.Close())
	}
	for {
		event := client.Poll(10)
		if held, err := client.Assignment(); event == nil && (err != nil || len(held) == 0) {
			return client.Close()
		}
	}
}

// Commit commits offsets now, within AnswerTimeout. By itself a member commits an
// offset only if it is greater than the last one committed for the partition, which
// may belong to a log that no longer exists.
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
