package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/kafkax"
)

const (
	// idlePoll is how soon a stop is noticed while no order comes.
	idlePoll = 100 * time.Millisecond
	// maxBatchBytes bounds a batch of large records.
	maxBatchBytes = 16 << 20
	// reportEvery spaces the totals in the log.
	reportEvery = 30 * time.Second
)

// errTornHistory says that the totals in Kafka can't be trusted to go on from:
// an operator has to look.
var errTornHistory = errors.New("the totals don't match the orders")

// worker counts orders. All of it happens in one goroutine, one step after the
// other: poll, transaction, poll. Partitions come and go only inside a poll,
// so that never a transaction is open while they do.
type worker struct {
	cfg      config
	consumer *kafka.Consumer
	txn      *transactor
	restorer *restorer
	log      *slog.Logger
	metrics  *metrics

	ledgers map[int32]*ledger // of the assigned partitions
	batch   []*kafka.Message
	bytes   int
	failure error // that a rebalance met; it can't return one
	report  report
}

func newWorker(cfg config, txn *transactor, log *slog.Logger, m *metrics) (*worker, error) {
	consumer, err := kafka.NewConsumer(kafkax.Merge(cfg.Kafka.ClientConfig("consumer"), kafka.ConfigMap{
		"group.id":        cfg.GroupID,
		"isolation.level": "read_committed", // aborted orders don't count
		// Offsets are committed in the transactions, and nowhere else.
		"enable.auto.commit":                 false,
		"enable.auto.offset.store":           false,
		"auto.offset.reset":                  "earliest",
		"partition.assignment.strategy":      "cooperative-sticky",
		"session.timeout.ms":                 10_000, // how long a crash holds partitions
		"heartbeat.interval.ms":              1_000,  // how soon a rebalance is noticed
		"statistics.interval.ms":             kafkax.StatisticsInterval,
		"topic.metadata.refresh.interval.ms": 5_000, // how soon an added partition is read
		"fetch.queue.backoff.ms":             50,
		// What is fetched ahead of a backlog, in each partition and in all. In
		// number too, since a small record takes several times its size.
		"queued.min.messages":        5000,
		"queued.max.messages.kbytes": 16 << 10,
		"max.partition.fetch.bytes":  256 << 10, // a larger record comes all the same, alone
	}))
	if err != nil {
		return nil, fmt.Errorf("creating the consumer: %w", err)
	}
	go kafkax.PumpLogs(consumer.Logs(), log)
	return &worker{
		cfg: cfg, consumer: consumer, txn: txn, log: log, metrics: m,
		restorer: &restorer{cfg: cfg, client: txn.client, log: log},
		ledgers:  map[int32]*ledger{},
	}, nil
}

// run counts until ctx ends. It finishes the transaction that it is in and
// leaves the group. An error means that the process has to start anew.
func (w *worker) run(ctx context.Context) error {
	defer func() {
		if err := w.consumer.Close(); err != nil {
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
	err := w.consumer.Subscribe(w.cfg.OrdersTopic, func(_ *kafka.Consumer, e kafka.Event) error {
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
		if len(w.batch) == 0 || ctx.Err() != nil {
			continue
		}
		aborted, err := w.count(ctx)
		if err != nil {
			return err
		}
		if !aborted {
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

// collect polls until a batch is full or has waited long enough.
func (w *worker) collect(ctx context.Context) error {
	clear(w.batch) // frees the messages
	w.batch, w.bytes = w.batch[:0], 0
	var due time.Time
	for ctx.Err() == nil && len(w.batch) < w.cfg.BatchSize && w.bytes < maxBatchBytes {
		wait := idlePoll
		if len(w.batch) > 0 {
			if wait = time.Until(due); wait <= 0 {
				return nil
			}
		}
		polled := w.consumer.Poll(int(wait.Milliseconds()))
		if w.failure != nil {
			return w.failure
		}
		switch e := polled.(type) {
		case *kafka.Message:
			if err := e.TopicPartition.Error; err != nil {
				w.log.Warn("reading orders", "partition", e.TopicPartition.Partition, "error", err)
				continue
			}
			if len(w.batch) == 0 {
				due = time.Now().Add(w.cfg.BatchLinger)
			}
			if err := w.accept(e); err != nil {
				return err
			}
		case *kafka.Stats:
			w.metrics.lag.Observe(e.String())
		case kafka.Error:
			kafkax.LogError(w.log, e)
			if e.IsFatal() {
				return fmt.Errorf("consumer cannot go on: %w", e)
			}
		}
	}
	return nil
}

// accept puts a record into the batch.
func (w *worker) accept(m *kafka.Message) error {
	l := w.ledgers[m.TopicPartition.Partition]
	if l == nil {
		return nil // lost before it was restored; whoever has it now reads it
	}
	offset := int64(m.TopicPartition.Offset)
	if offset < l.next {
		return fmt.Errorf("%w: partition %d of %q went back from offset %d to %d while it was read: it was recreated or cut off",
			errTornHistory, l.partition, w.cfg.OrdersTopic, l.next, offset)
	}
	l.next = offset + 1
	w.batch = append(w.batch, m)
	w.bytes += len(m.Key) + len(m.Value)
	return nil
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
	positions, err := w.take(ctx, partitions)
	if err == nil {
		err = w.seek(positions)
	}
	if w.consumer.AssignmentLost() {
		clear(w.ledgers) // the next poll takes the partitions away
		return nil
	}
	return err
}

func (w *worker) seek(positions []kafka.TopicPartition) error {
	done, err := w.consumer.SeekPartitions(positions)
	if err != nil {
		return fmt.Errorf("going back to the committed offsets: %w", err)
	}
	for _, tp := range done {
		if tp.Error != nil {
			return fmt.Errorf("going back to offset %v in partition %d: %w", tp.Offset, tp.Partition, tp.Error)
		}
	}
	return nil
}
