package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/event"
	"shopstream/services/internal/kafkax"
)

const (
	// slowRestore is the time after which a restore logs what it waits for.
	slowRestore = 2 * time.Second
	// restorePoll is how long to wait for a total before checking whether all were
	// read.
	restorePoll = 20 * time.Millisecond
)

// restorer reads ledgers back from the totals topic.
type restorer struct {
	totals *kafkax.Reader
	topic  string
	log    *slog.Logger
	gone   []string // former ids of the topic, which no longer exist
}

// restore returns the ledgers of partitions of the orders topic, given the offsets that
// the group has committed. It reads the whole totals topic up to its current end.
//
// Totals in an open transaction of another instance are before that end, so the read
// waits until its outcome is known. If that instance is dead, the heirs of the partitions
// in it end it (see abandoned.go), or else Kafka after TRANSACTION_TIMEOUT.
func (r *restorer) restore(ctx context.Context, committed []kafka.TopicPartition) (map[int32]*ledger, error) {
	ends, err := r.ends(ctx)
	if err != nil {
		return nil, err
	}
	assigned := r.assign(ends, r.countedFor(committed))
	defer r.totals.Remove(assigned...)

	ledgers := blank(committed)
	for told := time.Now(); ; {
		switch e := r.totals.Poll(restorePoll).(type) {
		case *kafka.Message:
			r.apply(e, ledgers)
		case *kafkax.Unreadable:
			// If a total is missing, its ledger doesn't match the seal.
			r.log.Error("totals skipped: they can't be read", "error", e)
		case *kafkax.LogChange:
			if e.Kind != kafkax.LogRecreated {
				return nil, fmt.Errorf("totals were deleted while they were read (%s)", e.Kind)
			}
			r.gone = append(r.gone, e.From.Log)
			return r.restore(ctx, committed)
		case nil:
			if log, all := r.reached(ends); all {
				for _, l := range ledgers {
					l.log = log
				}
				return ledgers, nil
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if time.Since(told) > slowRestore {
			told = time.Now()
			r.log.Info("reading the totals back; an open transaction of another instance has to end first if this takes long", "topic", r.topic)
		}
	}
}

func (r *restorer) ends(ctx context.Context) (map[int32]int64, error) {
	ends, err := r.totals.Ends(ctx)
	if err == nil && len(ends) == 0 {
		err = fmt.Errorf("the topic %q has no partitions", r.topic)
	}
	return ends, err
}

// assign reads every partition from its beginning. If the seals name another topic id,
// the reader logs and counts that the topic was recreated.
func (r *restorer) assign(ends map[int32]int64, log string) []int32 {
	positions := map[int32]kafkax.Position{}
	for p := range ends {
		positions[p] = kafkax.Beginning()
		if log != "" {
			positions[p] = kafkax.Position{Offset: -1, Log: log, LeaderEpoch: -1}
		}
	}
	r.totals.Assign(positions)
	return slices.Collect(maps.Keys(positions))
}

// countedFor returns the id of the totals topic in the seals of the committed offsets,
// or "". Ids that no longer exist were reported before.
func (r *restorer) countedFor(committed []kafka.TopicPartition) string {
	for _, tp := range committed {
		if log := kafkax.LabelField(tp.Metadata, "totals"); log != "" && log != r.totals.Log() && !slices.Contains(r.gone, log) {
			return log
		}
	}
	return ""
}

func blank(committed []kafka.TopicPartition) map[int32]*ledger {
	ledgers := map[int32]*ledger{}
	for _, tp := range committed {
		ledgers[tp.Partition] = newLedger(tp.Partition, "")
	}
	return ledgers
}

// reached reports whether everything was read up to the ends, and of which log.
func (r *restorer) reached(ends map[int32]int64) (log string, all bool) {
	log = r.totals.Log()
	positions := r.totals.Positions()
	for p, end := range ends {
		at, ok := positions[p]
		if !ok || at.Offset < end || at.Log != log {
			return "", false
		}
	}
	return log, true
}

// apply applies one record of the totals topic to its ledger.
func (r *restorer) apply(m *kafka.Message, ledgers map[int32]*ledger) {
	if m.Value == nil {
		return // deleted by hand; other totals say how far orders were counted
	}
	total, err := event.DecodeTotal(m.Value)
	if err == nil && string(total.Key()) != string(m.Key) {
		err = fmt.Errorf("its key %q doesn't match its total", m.Key)
	}
	if err != nil {
		// As with unreadable totals, the seal shows whether it matters.
		r.log.Error("total skipped: it can't be decoded", "partition", m.TopicPartition.Partition, "offset", int64(m.TopicPartition.Offset), "error", err)
		return
	}
	l := ledgers[total.Partition]
	if l == nil {
		return
	}
	// A total with another topic id was written before its writer noticed that the
	// topic was recreated.
	if log := kafkax.LabelField(m.TopicPartition.Metadata, "log"); total.TotalsTopicID == "" || total.TotalsTopicID == log {
		l.restore(total)
	}
}
