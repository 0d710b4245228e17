package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/prometheus/client_golang/prometheus"

	"shopstream/services/internal/kafkax"
)

const (
	// idlePoll is how soon a stop is noticed while no order comes.
	idlePoll = 100 * time.Millisecond
	// readAtOnce is how many records are taken before the group is heard again.
	readAtOnce = 100
	// sessionTimeout is how long a crash holds partitions.
	sessionTimeout = 10 * time.Second
	// maxBatchBytes bounds a batch of large records, in memory.
	maxBatchBytes = 16 << 20
	// reportEvery spaces the totals in the log.
	reportEvery = 30 * time.Second
)

// recordLimits are far above what an order or a total can be. What is larger is
// set aside, so that no small batch becomes a lot of memory.
var recordLimits = kafkax.Limits{Record: 8 << 20, Batch: 256 << 20}

// worker counts orders. All of it happens in one goroutine, one step after the
// other: poll, transaction, poll. Partitions come and go only inside a poll,
// so that never a transaction is open while they do.
//
// member is in the group and fetches nothing; reader fetches what the group
// assigns to it.
type worker struct {
	cfg      config
	member   *kafka.Consumer
	reader   *kafkax.Reader
	txn      *transactor
	restorer *restorer
	log      *slog.Logger
	metrics  *metrics

	ledgers map[int32]*ledger // of the assigned partitions
	batch   []item
	bytes   int
	since   time.Time                 // when the batch began
	next    map[int32]kafkax.Position // to commit once the batch is counted
	failure error                     // that a rebalance met; it can't return one
	report  report
}

// item is an order that was read, or a batch of orders that can't be.
type item struct {
	message    *kafka.Message
	unreadable *kafkax.Unreadable // then the message stands for it
}

func newWorker(cfg config, txn *transactor, log *slog.Logger, reg prometheus.Registerer) (*worker, error) {
	orders, err := kafkax.NewReader(cfg.Kafka, kafkax.ReaderConfig{Topic: cfg.OrdersTopic, Committed: true, Limits: recordLimits}, "consumer", log, reg)
	if err != nil {
		return nil, err
	}
	totals, err := kafkax.NewReader(cfg.Kafka, kafkax.ReaderConfig{Topic: cfg.TotalsTopic, Committed: true, Limits: recordLimits}, "consumer", log, reg)
	if err != nil {
		return nil, err
	}
	// The offsets are committed in the transactions, and nowhere else.
	member, err := kafkax.NewMember(cfg.Kafka, kafkax.MemberConfig{ClientID: "consumer", GroupID: cfg.GroupID, SessionTimeout: sessionTimeout}, log)
	if err != nil {
		return nil, err
	}
	return &worker{
		cfg: cfg, member: member, reader: orders, txn: txn, log: log, metrics: newMetrics(reg, cfg.OrdersTopic),
		restorer: &restorer{totals: totals, topic: cfg.TotalsTopic, log: log},
		ledgers:  map[int32]*ledger{}, next: map[int32]kafkax.Position{},
	}, nil
}

// run counts until ctx ends. It finishes the transaction that it is in and
// leaves the group. An error means that the process has to start anew.
func (w *worker) run(ctx context.Context) error {
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	var readers sync.WaitGroup
	readers.Go(func() { w.reader.Run(reading) })
	readers.Go(func() { w.restorer.totals.Run(reading) })
	defer readers.Wait()
	defer stop()
	defer func() {
		if err := w.member.Close(); err != nil {
			w.log.Warn("leaving the group", "error", err)
		}
	}()
	err := w.loop(ctx)
	if err != nil && ctx.Err() != nil {
		// What is open is aborted by Kafka or by the next process, and counted
		// by the next owner of the partition.
		w.log.Warn("stopped before the work was committed", "error", err)
		return nil
	}
	return err
}

func (w *worker) loop(ctx context.Context) error {
	if err := w.txn.init(ctx); err != nil {
		return err
	}
	err := w.member.Subscribe(w.cfg.OrdersTopic, func(_ *kafka.Consumer, e kafka.Event) error {
		w.rebalance(ctx, e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("subscribing to %q: %w", w.cfg.OrdersTopic, err)
	}
	for aborts := 0; ctx.Err() == nil; {
		if err := w.collect(ctx); err != nil {
			return err
		}
		var again bool
		switch {
		case ctx.Err() != nil:
		case w.totalsRecreated():
			again = true
		case len(w.next) > 0:
			if again, err = w.count(ctx); err != nil {
				return err
			}
		}
		if !again {
			aborts = 0
			continue
		}
		aborts++
		if err := w.startOver(ctx, aborts); err != nil {
			return err
		}
	}
	return nil
}

// collect polls until a batch is full or has waited long enough, or there is
// something else to do.
func (w *worker) collect(ctx context.Context) error {
	clear(w.batch) // frees the messages
	clear(w.next)
	w.batch, w.bytes, w.since = w.batch[:0], 0, time.Time{}
	for ctx.Err() == nil && !w.full() && !w.totalsRecreated() {
		wait := idlePoll
		if !w.since.IsZero() {
			if wait = min(wait, w.cfg.BatchLinger-time.Since(w.since)); wait <= 0 {
				return nil
			}
		}
		if err := w.attend(); err != nil {
			return err
		}
		w.read(wait)
	}
	return nil
}

func (w *worker) full() bool { return len(w.batch) >= w.cfg.BatchSize || w.bytes >= maxBatchBytes }

// attend hears what the group has to say.
func (w *worker) attend() error {
	if e, ok := w.member.Poll(0).(kafka.Error); ok {
		kafkax.LogError(w.log, e)
		if e.IsFatal() {
			return fmt.Errorf("consumer cannot go on: %w", e)
		}
	}
	return w.failure
}

// read takes what the reader has, waiting for it at most so long.
func (w *worker) read(wait time.Duration) {
	for range readAtOnce {
		switch e := w.reader.Poll(wait).(type) {
		case *kafka.Message:
			w.accept(item{message: e}, int64(e.TopicPartition.Offset)+1)
		case *kafkax.Unreadable:
			w.accept(item{e.Message(), e}, e.Last+1)
		case *kafkax.LogChange:
			// What was read of the log before is still counted, since it may be
			// nowhere else; what is committed is the position in the log of today.
			w.ledgers[e.Partition].named()
			w.moveTo(e.Partition, e.To)
		case nil:
			return
		}
		if w.full() {
			return
		}
		wait = 0
	}
}

// accept puts a record into the batch.
func (w *worker) accept(i item, next int64) {
	w.batch = append(w.batch, i)
	w.bytes += kafkax.MemoryOf(i.message)
	w.moveTo(i.message.TopicPartition.Partition, kafkax.PositionOf(next, i.message.TopicPartition.Metadata))
}

func (w *worker) moveTo(partition int32, next kafkax.Position) {
	if w.since.IsZero() {
		w.since = time.Now()
	}
	w.next[partition] = next
}

// totalsRecreated reports that the ledgers are for a totals topic that is gone.
func (w *worker) totalsRecreated() bool {
	today := w.restorer.totals.Log()
	for _, l := range w.ledgers {
		if l.log != today {
			return true
		}
	}
	return false
}

// startOver is what follows an abort: nothing in memory is trusted any more.
// Positions and totals are read back from Kafka, as at an assignment.
func (w *worker) startOver(ctx context.Context, aborts int) error {
	select {
	case <-time.After(min(50*time.Millisecond<<min(aborts, 7), 5*time.Second)):
	case <-ctx.Done():
		return nil
	}
	partitions := make([]int32, 0, len(w.ledgers))
	for p := range w.ledgers {
		partitions = append(partitions, p)
	}
	w.reader.Remove(partitions...)
	err := w.take(ctx, partitions)
	if w.member.AssignmentLost() {
		w.reader.Remove(partitions...)
		clear(w.ledgers) // the next poll takes the partitions away
		return nil
	}
	return err
}
