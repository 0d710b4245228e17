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
	// tryTimeout bounds one call of the client, which can't be interrupted.
	tryTimeout = time.Second
	// patience is how long a transaction may take to end after a stop was
	// asked for; it fits into SHUTDOWN_TIMEOUT.
	patience = 5 * time.Second
)

// errStuck says that the client doesn't come back from a call. The process has
// to start anew: nothing else ends the call.
var errStuck = errors.New("the client hangs")

// errNotMember says that the group has gone on without this instance.
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
	stuck      chan struct{} // closed once a call took longer
}

func newTransactor(cfg config, id string, log *slog.Logger) (*transactor, error) {
	client, err := kafkax.NewTransactional(cfg.Kafka, kafkax.TransactionalConfig{ClientID: "consumer", ID: id, Timeout: cfg.TransactionTimeout}, log)
	if err != nil {
		return nil, err
	}
	return &transactor{
		client: client, group: cfg.GroupID, id: id, user: cfg.Kafka.SASLUsername, log: log,
		// Longer than Kafka keeps a transaction open: nothing is lost by giving up.
		stuckAfter: cfg.TransactionTimeout + patience,
		stuck:      make(chan struct{}),
	}, nil
}

// run serves the client's events until it is closed or hangs.
func (t *transactor) run(context.Context) error {
	for {
		select {
		case event, open := <-t.client.Events():
			if !open {
				return nil
			}
			// What is fatal shows in the next call too, which ends the process.
			if err, ok := event.(kafka.Error); ok {
				kafkax.LogError(t.log, err)
			}
		case <-t.stuck:
			return nil
		}
	}
}

func (t *transactor) stop(context.Context) {
	select {
	case <-t.stuck: // closing would wait for the call that hangs
	default:
		t.client.Close()
	}
}

// init fences an earlier process of the same transactional id and aborts what
// it left open. It returns when that is done or ctx ends.
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

// commit ends the transaction with the offsets in it. The coordinator refuses
// them when the group has moved on to a new generation: an instance that lost
// its partitions without knowing it (a zombie) gets no transaction through.
func (t *transactor) commit(ctx context.Context, client *kafka.Consumer, offsets []kafka.TopicPartition) error {
	member, err := client.GetConsumerGroupMetadata()
	if err != nil {
		return fmt.Errorf("reading the group membership: %w", err)
	}
	// Kafka doesn't check offsets that come without a member id, and the client
	// sends none after it was put out of the group. It marks the assignment as
	// lost in the same step, so this order of the two leaves no gap.
	if client.AssignmentLost() || t.anonymous(member) {
		return errNotMember
	}
	err = t.attempt(ctx, "adding offsets to the transaction", patience, func(ctx context.Context) error {
		return t.client.SendOffsetsToTransaction(ctx, offsets, member)
	})
	if err != nil {
		return t.explain(err)
	}
	return t.explain(t.attempt(ctx, "committing the transaction", patience, t.client.CommitTransaction))
}

// abort takes everything of the transaction back.
func (t *transactor) abort(ctx context.Context) error {
	return t.explain(t.attempt(ctx, "aborting the transaction", patience, t.client.AbortTransaction))
}

func (t *transactor) anonymous(member *kafka.ConsumerGroupMetadata) bool {
	none, err := kafka.NewTestConsumerGroupMetadata(t.group) // of nobody: no member id, no generation
	return err != nil || reflect.DeepEqual(member, none)
}

// attempt repeats op while it fails for reasons that pass by themselves, until
// ctx has ended for longer than grace. The client resumes where it was: a
// commit that timed out is not a second one.
func (t *transactor) attempt(ctx context.Context, action string, grace time.Duration, op func(context.Context) error) error {
	var ended time.Time
	for told := false; ; told = true {
		err := t.call(ctx, grace, op)
		if err == nil {
			return nil
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

// call makes one call of the client and gives it up when it hangs. Adding
// offsets does when the group's coordinator goes away at that moment: librdkafka
// (2.11 and all since) waits for it without regard to the timeout,
// https://github.com/confluentinc/librdkafka/issues/5456.
func (t *transactor) call(ctx context.Context, grace time.Duration, op func(context.Context) error) error {
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
			close(t.stuck) // once: the process ends
			return errStuck
		}
	}
}

// explain adds what to do about an error that users can mend.
func (t *transactor) explain(err error) error {
	if kafkax.CodeOf(err) == kafka.ErrTransactionalIDAuthorizationFailed {
		return fmt.Errorf("%w (user %q may not write with TRANSACTIONAL_ID %q: grant it (ACLS of topics), or give the service its own credential)", err, t.user, t.id)
	}
	if isFenced(err) {
		return fmt.Errorf("%w (another process uses TRANSACTIONAL_ID %q, or this one stood still for longer than TRANSACTION_TIMEOUT)", err, t.id)
	}
	return err
}

// isFenced reports that this producer's time is over. The client does not
// count every such error as fatal, though no later transaction can succeed.
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
