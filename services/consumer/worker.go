package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/prometheus/client_golang/prometheus"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/retry"
	"shopstream/services/internal/trace"
)

const (
	// idlePoll is how soon a stop is noticed while there are no orders.
	idlePoll = 100 * time.Millisecond
	// readAtOnce is how many records are read before the group is polled again.
	readAtOnce = 100
	// sessionTimeout is how long the partitions of a crashed instance stay assigned.
	sessionTimeout = 10 * time.Second
	// maxBatchBytes bounds the memory of a batch.
	maxBatchBytes = 16 << 20
	// reportEvery is the time between log lines with the totals.
	reportEvery = 30 * time.Second
	// recommitAfter is how soon unchanged offsets are committed again. A coordinator
	// deletes the offsets of a deleted topic some time later, including those committed
	// since then for a recreated topic, and the offsets of a group that was empty for a
	// week. Without them the lag is wrong until the next order, and so is the autoscaling.
	recommitAfter = 10 * time.Second
)

// retries spaces attempts to read totals back, and transactions after one was aborted.
var retries = retry.Backoff{First: 100 * time.Millisecond, Last: 5 * time.Second}

// recordLimits are far above the size of any order or total. Larger records are set
// aside, so that a small compressed batch can't take much memory.
var recordLimits = kafkax.Limits{Record: 8 << 20, Batch: 256 << 20}

// worker counts orders in a single goroutine, which alternates between polls and
// transactions. Partitions are assigned and revoked only inside a poll, so never while
// a transaction is open.
//
// member is the member of the group and reads nothing; reader reads the assigned
// partitions.
type worker struct {
	cfg      config
	member   *kafka.Consumer // once it has joined
	reader   *kafkax.Reader
	txn      *transactor
	restorer *restorer
	traced   kafkax.Processing
	log      *slog.Logger
	metrics  *metrics

	pending  []int32           // assigned partitions whose totals are not read back yet
	attempts int               // to read them back
	retry    time.Time         // when to try again
	told     time.Time         // when a failure was logged
	ledgers  map[int32]*ledger // of the other assigned partitions
	batch    []item
	bytes    int
	since    time.Time                 // when the batch began
	next     map[int32]kafkax.Position // to commit once the batch is counted
	label    *string                   // of the last record
	labelled kafkax.Position           // what it says
	recommit time.Time                 // when to commit unchanged positions again
	failure  error                     // from a rebalance, which can't return it
	report   report
}

// item is an order, or an unreadable batch of orders.
type item struct {
	message    *kafka.Message
	unreadable *kafkax.Unreadable // if not nil, the message stands for it
}

func newWorker(cfg config, txn *transactor, tracer *trace.Tracer, log *slog.Logger, reg prometheus.Registerer) (*worker, error) {
	orders, err := kafkax.NewReader(cfg.Kafka, kafkax.ReaderConfig{Topic: cfg.OrdersTopic, Grouped: true, Committed: true, Limits: recordLimits}, "consumer", log, reg)
	if err != nil {
		return nil, err
	}
	totals, err := kafkax.NewReader(cfg.Kafka, kafkax.ReaderConfig{Topic: cfg.TotalsTopic, Committed: true, Limits: recordLimits}, "consumer", log, reg)
	if err != nil {
		return nil, err
	}
	return &worker{
		cfg: cfg, reader: orders, txn: txn, log: log, metrics: newMetrics(reg, cfg.OrdersTopic),
		restorer: &restorer{totals: totals, topic: cfg.TotalsTopic, log: log},
		traced:   kafkax.Processing{Tracer: tracer, Topic: cfg.OrdersTopic, Group: cfg.GroupID, ClientID: "consumer", Verb: "count"},
		ledgers:  map[int32]*ledger{}, next: map[int32]kafkax.Position{},
	}, nil
}

// run counts until ctx ends, then finishes its transaction and leaves the group. An
// error means that the process must be restarted.
func (w *worker) run(ctx context.Context) error {
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	var readers sync.WaitGroup
	readers.Go(func() { w.reader.Run(reading) })
	readers.Go(func() { w.restorer.totals.Run(reading) })
	defer readers.Wait()
	defer stop()
	err := w.join(ctx)
	if err == nil {
		defer func() { kafkax.Leave(w.member, w.cfg.HTTP.ShutdownTimeout/3, w.log) }()
		err = w.loop(ctx)
	}
	if err != nil && ctx.Err() != nil {
		// Kafka or the next process aborts an open transaction, and the next owner
		// of the partition counts its orders.
		w.log.Warn("stopped before the work was committed", "error", err)
		return nil
	}
	return err
}

func (w *worker) join(ctx context.Context) (err error) {
	if err := w.txn.init(ctx); err != nil {
		return err
	}
	// Offsets are committed in transactions only.
	w.member, err = kafkax.NewMember(ctx, w.cfg.Kafka, kafkax.MemberConfig{
		ClientID: "consumer", GroupID: w.cfg.GroupID, Group: w.cfg.Group, SessionTimeout: sessionTimeout,
	}, w.log)
	return err
}

func (w *worker) loop(ctx context.Context) error {
	err := w.member.Subscribe(w.cfg.OrdersTopic, func(_ *kafka.Consumer, e kafka.Event) error {
		w.rebalance(e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("subscribing to %q: %w", w.cfg.OrdersTopic, err)
	}
	for aborts := 0; ctx.Err() == nil; {
		if err := w.collect(ctx); err != nil {
			return err
		}
		w.commitAgain()
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
		w.startOver(ctx, aborts)
	}
	return nil
}

// collect polls until a batch is full or has waited long enough, or something else is
// to be done.
func (w *worker) collect(ctx context.Context) error {
	clear(w.batch) // frees the messages
	clear(w.next)
	w.batch, w.bytes, w.since = w.batch[:0], 0, time.Time{}
	for ctx.Err() == nil && !w.full() && !w.totalsRecreated() {
		wait := idlePoll
		if !w.since.IsZero() {
			wait = min(wait, w.cfg.BatchLinger-time.Since(w.since))
		}
		if wait <= 0 || w.since.IsZero() && time.Now().After(w.recommit) {
			return nil
		}
		if err := w.attend(); err != nil {
			return err
		}
		if err := w.takePending(ctx); err != nil {
			return err
		}
		w.read(wait)
	}
	return nil
}

// commitAgain adds the committed positions to the next transaction, every
// recommitAfter, or those behind what doesn't count.
func (w *worker) commitAgain() {
	if time.Now().Before(w.recommit) {
		return
	}
	w.recommit = time.Now().Add(recommitAfter)
	read := w.reader.Positions()
	for p, l := range w.ledgers {
		if _, moves := w.next[p]; moves {
			continue
		}
		at := read[p]
		switch {
		case at.Log != "" && at.Offset >= 0 && (l.committed.Offset < 0 || at.Log == l.committed.Log && at.Offset > l.committed.Offset):
			// Behind markers of transactions, or at the beginning of a log whose records were all
			// deleted before the group had an offset: KEDA would take them for lag.
			w.next[p] = at
		case l.committed.Log != "": // without a log, the offset may belong to a deleted topic
			w.next[p] = l.committed
		}
	}
}

func (w *worker) full() bool { return len(w.batch) >= w.cfg.BatchSize || w.bytes >= maxBatchBytes }

// attend handles the events of the group.
func (w *worker) attend() error {
	if e, ok := w.member.Poll(0).(kafka.Error); ok {
		kafkax.LogError(w.log, e)
		if e.IsFatal() {
			return fmt.Errorf("the consumer failed for good: %w", e)
		}
	}
	return w.failure
}

// read takes what the reader has read, waiting for it up to wait.
func (w *worker) read(wait time.Duration) {
	for range readAtOnce {
		switch e := w.reader.Poll(wait).(type) {
		case *kafka.Message:
			w.accept(item{message: e}, int64(e.TopicPartition.Offset)+1)
		case *kafkax.Unreadable:
			w.accept(item{e.Message(), e}, e.Last+1)
		case *kafkax.LogChange:
			// Orders of the old log that were read already are still counted, since
			// they may exist nowhere else. The position in the new log is committed.
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

// accept adds a record to the batch.
func (w *worker) accept(i item, next int64) {
	w.batch = append(w.batch, i)
	w.bytes += kafkax.MemoryOf(i.message)
	w.moveTo(i.message.TopicPartition.Partition, w.positionOf(next, i.message.TopicPartition.Metadata))
}

// positionOf is kafkax.PositionOf, parsing a label once for all records of a batch.
func (w *worker) positionOf(offset int64, label *string) kafkax.Position {
	if label != w.label {
		w.label, w.labelled = label, kafkax.PositionOf(0, label)
	}
	at := w.labelled
	at.Offset = offset
	return at
}

func (w *worker) moveTo(partition int32, next kafkax.Position) {
	if w.since.IsZero() {
		w.since = time.Now()
	}
	w.next[partition] = next
}

// totalsRecreated reports whether the ledgers belong to a totals topic that no longer
// exists.
func (w *worker) totalsRecreated() bool {
	today := w.restorer.totals.Log()
	for _, l := range w.ledgers {
		if l.log != today {
			return true
		}
	}
	return false
}

// startOver follows an abort. The state in memory is no longer valid: positions and
// totals are read from Kafka again, as after an assignment.
func (w *worker) startOver(ctx context.Context, aborts int) {
	retry.Sleep(ctx, retries.After(aborts))
	partitions := slices.Collect(maps.Keys(w.ledgers))
	w.reader.Remove(partitions...)
	clear(w.ledgers)
	w.await(partitions)
}
