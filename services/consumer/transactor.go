package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/kafkax"
)

const (
	// tryTimeout bounds one call of the client, since calls can't be interrupted.
	tryTimeout = time.Second
	// patience is how long a transaction may take to end after a stop was requested.
	// It fits into SHUTDOWN_TIMEOUT.
	patience = 5 * time.Second
)

// errStuck says that a call of the client doesn't return. The process must be
// restarted: nothing else ends the call.
var errStuck = errors.New("the Kafka client hangs")

// errNotMember says that the group has removed this instance.
var errNotMember = errors.New("no longer a member of the group")

// transactor writes transactions.
type transactor struct {
	client *kafka.Producer
	group  string
	id     string
	user   string
	log    *slog.Logger

	// stuckAfter is how long a call may take, whatever timeout it was given.
	stuckAfter time.Duration
	stuck      chan struct{} // closed once a call took longer than that
	hanging    error         // which one; set before stuck is closed
}

func newTransactor(cfg config, id string, log *slog.Logger) (*transactor, error) {
	client, err := kafkax.NewTransactional(cfg.Kafka, kafkax.TransactionalConfig{ClientID: "consumer", ID: id, Timeout: cfg.TransactionTimeout}, log)
	if err != nil {
		return nil, err
	}
	return &transactor{
		client: client, group: cfg.GroupID, id: id, user: cfg.Kafka.SASLUsername, log: log,
		stuckAfter: tryTimeout + patience,
		stuck:      make(chan struct{}),
	}, nil
}

// run serves the client's events until it is closed. It fails if a call hangs: the worker,
// which fails too, might not be able to leave the group.
func (t *transactor) run(context.Context) error {
	for {
		select {
		case event, open := <-t.client.Events():
			if !open {
				return nil
			}
			// The next call fails too if the error is fatal, which ends the process.
			if err, ok := event.(kafka.Error); ok {
				kafkax.LogError(t.log, err)
			}
		case <-t.stuck:
			return t.hanging
		}
	}
}

func (t *transactor) stop(context.Context) {
	select {
	case <-t.stuck: // Close would wait for the hanging call
	default:
		t.client.Close()
	}
}

// init fences an earlier process with the same transactional id and aborts the
// transaction that it left open. It returns once that is done or ctx has ended.
func (t *transactor) init(ctx context.Context) error {
	err := t.attempt(ctx, "initialising transactions", 0, t.client.InitTransactions)
	return t.explain(err)
}

func (t *transactor) begin() error {
	if err := t.client.BeginTransaction(); err != nil {
		return t.explain(fmt.Errorf("beginning a transaction: %w", err))
	}
	return nil
}

// produce adds a record to the transaction.
func (t *transactor) produce(r kafkax.Record) error {
	for {
		err := t.client.Produce(&kafka.Message{
			TopicPartition: kafka.TopicPartition{Topic: &r.Topic, Partition: kafka.PartitionAny},
			Key:            r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp,
		}, nil)
		if kafkax.CodeOf(err) != kafka.ErrQueueFull {
			return err
		}
		t.client.Flush(100)
	}
}

// addOffsets adds offsets to the transaction, before anything is produced: a transaction that
// holds back readers of the totals has undecided offsets then, by which the next owner of
// their partitions notices that it was left open. The coordinator refuses offsets of an
// earlier generation of the group, so an instance that has lost its partitions without
// noticing (a zombie) can't commit a transaction.
func (t *transactor) addOffsets(ctx context.Context, client *kafka.Consumer, offsets []kafka.TopicPartition) error {
	member, err := client.GetConsumerGroupMetadata()
	if err != nil {
		return fmt.Errorf("reading the group membership: %w", err)
	}
	// Kafka doesn't check offsets without a member id, and the client sends none after
	// it was removed from the group. It marks the assignment as lost in the same step,
	// so checking after reading the metadata leaves no gap.
	if client.AssignmentLost() || t.anonymous(member) {
		return errNotMember
	}
	return t.explain(t.attempt(ctx, "adding offsets to the transaction", patience, func(ctx context.Context) error {
		return t.client.SendOffsetsToTransaction(ctx, offsets, member)
	}))
}

// commit commits the transaction.
func (t *transactor) commit(ctx context.Context) error {
	return t.explain(t.attempt(ctx, "committing the transaction", patience, t.client.CommitTransaction))
}

// abort aborts the transaction.
func (t *transactor) abort(ctx context.Context) error {
	return t.explain(t.attempt(ctx, "aborting the transaction", patience, t.client.AbortTransaction))
}

func (t *transactor) anonymous(member *kafka.ConsumerGroupMetadata) bool {
	none, err := kafka.NewTestConsumerGroupMetadata(t.group) // without a member id and a generation
	return err != nil || reflect.DeepEqual(member, none)
}

// attempt retries op after transient failures, until grace after the end of ctx. The
// client resumes the operation: retrying a commit that timed out is not a second
// commit.
func (t *transactor) attempt(ctx context.Context, action string, grace time.Duration, op func(context.Context) error) error {
	var ended time.Time
	for told := false; ; told = true {
		err := t.call(ctx, action, grace, op)
		if err == nil || errors.Is(err, errStuck) {
			return err
		}
		if ctx.Err() != nil && ended.IsZero() {
			ended = time.Now()
		}
		var ke kafka.Error
		if !errors.As(err, &ke) || !ke.IsRetriable() || ctx.Err() != nil && time.Since(ended) >= grace {
			return fmt.Errorf("%s: %w", action, err)
		}
		if !told {
			t.log.Warn("kafka doesn't answer yet", "action", action, "error", err)
		}
	}
}

// call makes one call of the client, and gives up if it hangs. Adding offsets hangs if
// the group's coordinator becomes unreachable at that moment: librdkafka (2.15 too)
// ignores the timeout then, https://github.com/confluentinc/librdkafka/issues/5456, and
// can't abort the transaction before the call has returned. A new process can: its
// initialisation fences this one. No order is lost or counted twice by that, however
// soon it is, so the bound is only as long as a slow machine needs for a call of
// tryTimeout.
func (t *transactor) call(ctx context.Context, action string, grace time.Duration, op func(context.Context) error) error {
	try, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryTimeout)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- op(try) }()
	bound := time.After(t.stuckAfter)
	for stop := ctx.Done(); ; {
		select {
		case err := <-result:
			return err
		case <-stop:
			stop, bound = nil, time.After(grace+tryTimeout)
		case <-bound:
			t.hanging = fmt.Errorf("%s: %w", action, errStuck)
			close(t.stuck) // only once, because the process ends
			return t.hanging
		}
	}
}

// explain adds the fix to errors that operators can fix.
func (t *transactor) explain(err error) error {
	if kafkax.CodeOf(err) == kafka.ErrTransactionalIDAuthorizationFailed {
		return fmt.Errorf("%w (user %q may not write with TRANSACTIONAL_ID %q: grant it (ACLS of topics), or give the service its own credential)", err, t.user, t.id)
	}
	if isFenced(err) {
		return fmt.Errorf("%w (another process uses TRANSACTIONAL_ID %q, or this one was suspended for longer than TRANSACTION_TIMEOUT)", err, t.id)
	}
	return err
}

// isFenced reports whether another producer has fenced this one. The client doesn't mark
// all of these errors as fatal, although no later transaction can succeed.
func isFenced(err error) bool {
	switch kafkax.CodeOf(err) {
	case kafka.ErrFenced, kafka.ErrProducerFenced, kafka.ErrInvalidProducerEpoch:
		return true
	}
	return false
}

func isFatal(err error) bool {
	var ke kafka.Error
	return errors.As(err, &ke) && ke.IsFatal()
}
