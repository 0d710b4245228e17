package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/retry"
)

// An instance that dies in a transaction leaves it open. The offsets in it are undecided
// then, and the heirs of its partitions can't continue, until its transactional id comes
// back or Kafka aborts the transaction, after TRANSACTION_TIMEOUT. To wait for neither, an
// heir ends the transaction itself, as Java's Admin.fenceProducers does.
//
// That is safe: a partition is assigned to the heir only once its predecessor has given it
// up, between two transactions, or was removed from the group. Whoever has a transaction
// with its offset open is therefore dead or a zombie. Kafka refuses the commit of a zombie
// that is fenced, which ends with an error and is restarted; the same happens to it at the
// timeout. If Kafka has accepted its commit before, that counts, and the heir waits for it.
//
// The offset's metadata names who committed it last. If that isn't who has left it
// undecided, because a later owner died in its first transaction, the heir waits for Kafka.
const (
	// commitTakes is how long undecided offsets are waited for before that: instances
	// commit within milliseconds.
	commitTakes = 300 * time.Millisecond
	// abandonedAfter is how long the transaction must have been open. That of a dead
	// instance is as old as the session is long, 5 s, by a clock that may differ from this
	// one. If the metadata names another instance, it may be alive, and in a transaction
	// with other partitions, which is younger.
	abandonedAfter = time.Second
	// abortTakes is how long Kafka needs at least to abort a transaction.
	abortTakes = 20 * time.Millisecond
	// endingTakes bounds all requests together, since the group must be polled.
	endingTakes = time.Second
)

// signature is the field of an offset's metadata that names who committed it.
func signature(transactionalID string) string { return "by=" + url.QueryEscape(transactionalID) }

// signer returns whom an offset's metadata names, or "".
func signer(metadata string) string {
	id, err := url.QueryUnescape(kafkax.LabelField(&metadata, "by"))
	if err != nil {
		return "" // it was set by hand
	}
	return id
}

// endAbandoned ends the transactions of dead instances that leave offsets of pending
// partitions undecided.
func (w *worker) endAbandoned(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, endingTakes)
	defer cancel()
	client, err := w.cfg.Kafka.Direct("consumer")
	if err != nil {
		return err
	}
	defer client.Close()
	undecided, err := w.undecided(ctx, client)
	if err != nil {
		return fmt.Errorf("looking for undecided offsets: %w", err)
	}
	var faults []error
	for id, partitions := range undecided {
		age, err := w.endIfAbandoned(ctx, client, id)
		if err != nil {
			faults = append(faults, w.explainEnding(id, err))
		} else if age > 0 {
			w.log.Info("ended the open transaction of a dead instance", "transactional_id", id, "partitions", partitions, "age", age)
		}
	}
	return errors.Join(faults...)
}

// undecided returns the pending partitions whose offsets are undecided, by who committed
// them last. This instance has no transaction open.
func (w *worker) undecided(ctx context.Context, client *kgo.Client) (map[string][]int32, error) {
	admin := kadm.NewClient(client)
	stable, err := admin.FetchOffsets(kadm.RequireStable(ctx), w.cfg.GroupID)
	if err != nil {
		return nil, err
	}
	last, err := admin.FetchOffsets(ctx, w.cfg.GroupID)
	if err != nil {
		return nil, err
	}
	undecided := map[string][]int32{}
	for _, p := range w.pending {
		at, _ := stable.Lookup(w.cfg.OrdersTopic, p)
		before, _ := last.Lookup(w.cfg.OrdersTopic, p)
		id := signer(before.Metadata)
		if errors.Is(at.Err, kerr.UnstableOffsetCommit) && id != "" && id != w.txn.id {
			undecided[id] = append(undecided[id], p)
		}
	}
	return undecided, nil
}

// endIfAbandoned ends the open transaction of a transactional id, and returns
// how old it was: 0 if there is none or it is too young.
func (w *worker) endIfAbandoned(ctx context.Context, client *kgo.Client, id string) (age time.Duration, err error) {
	described, err := kadm.NewClient(client).DescribeTransactions(ctx, id)
	if err != nil {
		return 0, err
	}
	open := described[id]
	age = time.Since(time.UnixMilli(open.StartTimestamp))
	if open.Err != nil || open.State != "Ongoing" || age < abandonedAfter {
		return 0, open.Err
	}
	return age, w.end(ctx, client, id)
}

// end fences a transactional id, and returns once its transaction is aborted. Until then Kafka
// refuses the request.
func (w *worker) end(ctx context.Context, client *kgo.Client, id string) error {
	request := kmsg.NewPtrInitProducerIDRequest()
	request.TransactionalID = &id
	request.TransactionTimeoutMillis = int32(w.cfg.TransactionTimeout.Milliseconds())
	for {
		answer, err := request.RequestWith(ctx, client)
		if err != nil {
			return err
		}
		err = kerr.ErrorForCode(answer.ErrorCode)
		if !errors.Is(err, kerr.ConcurrentTransactions) || !retry.Sleep(ctx, abortTakes) {
			return err
		}
	}
}

func (w *worker) explainEnding(id string, err error) error {
	err = fmt.Errorf("ending the transaction of %q: %w", id, err)
	if errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
		return fmt.Errorf("%w (user %q may not write with it: grant it (ACLS of topics), or Kafka aborts the transaction only after TRANSACTION_TIMEOUT)", err, w.cfg.Kafka.SASLUsername)
	}
	return err
}
