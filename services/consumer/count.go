package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/event"
	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/trace"
)

// sums are the results of one batch.
type sums struct {
	changed map[*event.Total]bool
	refused []refusal
	counted int
	skipped []*kafka.Message
	sends   []*kafkax.SendSpan // of the dead letters
}

// Reasons why an order can't be counted.
const (
	reasonDecode  = "decode"
	reasonInvalid = "invalid"
	// reasonUnreadable: the codec, checksum, format or size makes it unreadable.
	reasonUnreadable = "unreadable"
	// reasonProducts: there are totals of PRODUCTS_LIMIT other products already.
	reasonProducts = "products"
)

// refusal is an order that can't be counted.
type refusal struct {
	message *kafka.Message
	reason  string
	cause   error
}

// brief are the headers that a letter keeps if it is too large: its trace, and the range of
// offsets of an unreadable batch.
func (r refusal) brief() []kafka.Header {
	bounds := slices.DeleteFunc(slices.Clone(r.message.Headers), func(h kafka.Header) bool { return h.Key != kafkax.HeaderLast })
	return append(kafkax.TraceHeaders(r.message.Headers), bounds...)
}

// count writes the batch's totals, dead letters and offsets in one transaction: all of
// it becomes visible, or nothing. aborted means that nothing did; an error means that
// the process must be restarted.
func (w *worker) count(ctx context.Context) (aborted bool, err error) {
	start := time.Now()
	spans := w.traced.Start(ctx, w.messages())
	defer func() { spans.End(err) }()
	ctx = spans.Context(ctx)
	s := w.add(start)
	end := w.traced.Step(ctx, "transaction")
	defer func() { end(err) }()
	if err := w.txn.begin(); err != nil {
		return false, err
	}
	err = w.txn.addOffsets(ctx, w.member, w.offsets())
	if err == nil {
		err = w.produce(ctx, &s)
	}
	if err == nil {
		err = w.txn.commit(ctx)
	}
	end(err)
	s.end(spans, w.batch, err)
	switch {
	case err == nil:
		w.done(ctx, s, time.Since(start))
		return false, nil
	case isFatal(err), isFenced(err), errors.Is(err, errStuck), ctx.Err() != nil:
		// After a stop the outcome may be unknown; the next process finds out.
		return false, err
	}
	w.log.WarnContext(ctx, "transaction aborted", "orders", len(w.batch), "error", err)
	spans.End(err)
	if err := w.txn.abort(ctx); err != nil {
		return false, err
	}
	w.metrics.transactions.WithLabelValues(outcomeAborted).Inc()
	return true, nil
}

// add counts the batch in memory.
func (w *worker) add(now time.Time) sums {
	s := sums{changed: map[*event.Total]bool{}}
	for _, i := range w.batch {
		m, l := i.message, w.ledgers[i.message.TopicPartition.Partition]
		at := w.positionOf(int64(m.TopicPartition.Offset), m.TopicPartition.Metadata)
		if l.has(at) {
			s.skipped = append(s.skipped, m)
			continue
		}
		if i.unreadable != nil {
			s.refused = append(s.refused, refusal{m, reasonUnreadable, i.unreadable})
			continue
		}
		order, err := event.DecodeOrder(m.Value)
		if err != nil {
			// An invalid order never blocks the partition: a retry would not help.
			reason := reasonInvalid
			if errors.Is(err, event.ErrMalformed) {
				reason = reasonDecode
			}
			s.refused = append(s.refused, refusal{m, reason, err})
			continue
		}
		if l.totals[order.Product] == nil && l.size+sizeOf(order.Product) > w.cfg.ProductsLimit {
			s.refused = append(s.refused, refusal{m, reasonProducts, fmt.Errorf("partition %d has totals of %d products, and PRODUCTS_LIMIT leaves no room for another", l.partition, len(l.totals))})
			continue
		}
		s.changed[l.add(order, at, now)] = true
		s.counted++
	}
	return s
}

func (w *worker) produce(ctx context.Context, s *sums) error {
	for total := range s.changed {
		value, err := total.Encode()
		if err != nil {
			return fmt.Errorf("encoding the total of %q: %w", total.Product, err)
		}
		if err := w.txn.produce(kafkax.Record{Topic: w.cfg.TotalsTopic, Key: total.Key(), Value: value}); err != nil {
			return fmt.Errorf("producing to %q: %w", w.cfg.TotalsTopic, err)
		}
	}
	now := time.Now()
	for _, r := range s.refused {
		letter := kafkax.DeadLetter(r.message, w.cfg.OrdersDLQTopic, w.cfg.GroupID, r.reason, r.cause, now)
		s.sends = append(s.sends, kafkax.StartSend(trace.Apart(ctx), w.traced.Tracer, false, w.traced.ClientID, &letter))
		err := w.txn.produce(letter)
		if kafkax.CodeOf(err) == kafka.ErrMsgSizeTooLarge {
			// The headers have made it too large: only those with its position are
			// sent.
			m := r.message
			cause := fmt.Errorf("%w (too large to include: key of %d bytes, value of %d)", r.cause, len(m.Key), len(m.Value))
			bare := &kafka.Message{TopicPartition: m.TopicPartition, Timestamp: m.Timestamp, Headers: r.brief()}
			err = w.txn.produce(kafkax.DeadLetter(bare, w.cfg.OrdersDLQTopic, w.cfg.GroupID, r.reason, cause, now))
		}
		if err != nil {
			return fmt.Errorf("producing to %q: %w", w.cfg.OrdersDLQTopic, err)
		}
	}
	return nil
}

// offsets returns the offsets to commit, each with its seal and with who commits it.
func (w *worker) offsets() []kafka.TopicPartition {
	offsets := make([]kafka.TopicPartition, 0, len(w.next))
	for p, at := range w.next {
		seal := w.ledgers[p].seal(at) + " " + signature(w.txn.id)
		offsets = append(offsets, kafka.TopicPartition{Topic: &w.cfg.OrdersTopic, Partition: p, Offset: kafka.Offset(at.Offset), Metadata: &seal})
	}
	return offsets
}

// done updates the metrics after a batch was committed.
func (w *worker) done(ctx context.Context, s sums, took time.Duration) {
	for p, at := range w.next {
		w.reader.Done(p, at.Offset)
		w.ledgers[p].committed = at
	}
	w.metrics.transactions.WithLabelValues(outcomeCommitted).Inc()
	trace.Observe(ctx, w.metrics.duration, took.Seconds())
	w.metrics.messages.Add(float64(len(w.batch)))
	w.metrics.counted.Add(float64(s.counted))
	w.metrics.skipped.Add(float64(len(s.skipped)))
	for _, r := range s.refused {
		w.metrics.letters.WithLabelValues(w.cfg.OrdersTopic, r.reason).Inc()
	}
	w.metrics.products.Set(float64(w.products()))
	w.log.Debug("batch committed", "orders", s.counted, "totals", len(s.changed), "dead_letters", len(s.refused), "skipped", len(s.skipped), "took", took)

	w.report.orders += s.counted
	w.report.letters += len(s.refused)
	if time.Since(w.report.last) >= reportEvery {
		w.log.Info("orders counted", "orders", w.report.orders, "dead_letters", w.report.letters, "totals", w.products(), "partitions", len(w.ledgers))
		w.report = report{last: time.Now()}
	}
}

// report counts what was done since the last log line.
type report struct {
	last            time.Time
	orders, letters int
}
