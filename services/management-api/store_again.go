package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/event"
	"shopstream/services/internal/mongox"
	"shopstream/services/internal/retry"
	"shopstream/services/internal/telemetry"
)

// storeAgainAttempts is how often store-again tries to insert a batch, about half a
// minute, before it gives up.
const storeAgainAttempts = 10

type storeAgainOptions struct {
	topic string
	since time.Time // zero: from the beginning
}

func parseStoreAgainOptions(args []string, stderr io.Writer) (storeAgainOptions, error) {
	var o storeAgainOptions
	flags := flag.NewFlagSet("management-api store-again", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.topic, "topic", "", "read this `topic`, such as a copy; PURCHASES_TOPIC if empty")
	from := flags.String("from", "beginning", "leave out records before this `time` (RFC 3339, such as 2026-05-06T07:08:09Z), by their timestamps")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *from == "beginning" {
		return o, nil
	}
	var err error
	if o.since, err = time.Parse(time.RFC3339Nano, *from); err != nil {
		return o, fmt.Errorf("-from must be \"beginning\" or a time such as 2026-05-06T07:08:09Z, not %q", *from)
	}
	return o, nil
}

// storeAgain stores every purchase of a topic that isn't stored yet, up to the end of
// the log at its start. It is for purchases that were acknowledged but passed over,
// because the group's offsets were lost, reset or those of another log. It commits no
// offsets and writes no dead letters, so that it can run beside the service. What is
// refused or can't be read is logged with its position.
func storeAgain(ctx context.Context, args, environ []string, stderr io.Writer) error {
	opts, err := parseStoreAgainOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	cfg, err := envconf.Load[config](environ)
	if err != nil {
		return err
	}
	if opts.topic == "" {
		opts.topic = cfg.Topics.Purchases
	}
	log := telemetry.NewLogger(stderr, cfg.Log, "management-api")
	database, err := mongox.Connect(cfg.Mongo, nil)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), disconnectTimeout)
		defer cancel()
		_ = database.Disconnect(ctx)
	}()
	reader, err := openTopic(ctx, cfg.Kafka, opts.topic, recordLimits, "management-api-store-again", log)
	if err != nil {
		return err
	}
	defer reader.close()
	if !opts.since.IsZero() {
		if err := reader.after(ctx, opts.since); err != nil {
			return err
		}
	}
	s := storing{
		// Its metrics are not exported; the producer is for dead letters only.
		writer: newWriter(cfg, newStore(database, cfg.Mongo.Database, cfg.Mongo.Collection), nil, log, prometheus.NewRegistry()),
		copied: opts.topic != cfg.Topics.Purchases, log: log,
	}
	reader.begin(nil)
	err = s.storeAll(ctx, reader, cfg.BatchSize)
	fmt.Fprintf(stderr, "store-again: %d records read of %q: %d stored, %d already stored, %d refused, %d unreadable\n",
		s.counts.stored+s.counts.before+s.counts.refused+s.counts.unreadable, opts.topic, s.counts.stored, s.counts.before, s.counts.refused, s.counts.unreadable)
	return err
}

// storing is one run of store-again.
type storing struct {
	writer *writer
	copied bool // whether the topic is a copy of the original one
	log    *slog.Logger
	counts struct{ stored, before, refused, unreadable int }
}

func (s *storing) storeAll(ctx context.Context, reader *topicReader, size int) error {
	for {
		b, err := reader.next(ctx, size)
		if err != nil {
			return err
		}
		if b.empty() {
			return nil
		}
		if err := s.store(ctx, b.items); err != nil {
			return err
		}
	}
}

// store inserts the purchases of a batch, and counts what became of its items.
func (s *storing) store(ctx context.Context, items []*item) error {
	for _, i := range items {
		decode(i)
		// A position in a copy is not the purchase's original one.
		if _, named := event.IDIn(i.message.Value); s.copied && i.refusal == nil && !named && sourceOf(i.message).Topic == *i.message.TopicPartition.Topic {
			i.refusal = &refusal{reasonInvalid, errors.New("it has no event id, and its original position, which the id is derived from, is unknown")}
		}
	}
	for attempt := 1; ; attempt++ {
		err := s.writer.insert(ctx, items)
		if err == nil {
			break
		}
		if attempt == storeAgainAttempts || !retry.Sleep(ctx, retries.After(attempt)) {
			return fmt.Errorf("%w; what was stored stays: run the command again", err)
		}
		s.log.Warn("batch not stored yet, trying again", "error", err, "attempt", attempt)
	}
	for _, i := range items {
		switch {
		case i.fresh:
			s.counts.stored++
		case i.done:
			s.counts.before++
		case i.refusal.reason == reasonUnreadable:
			s.counts.unreadable++
		default:
			s.counts.refused++
		}
		if i.refusal != nil {
			s.log.Warn("record left out", "partition", i.message.TopicPartition.Partition, "offset", int64(i.message.TopicPartition.Offset),
				"reason", i.refusal.reason, "error", i.refusal.err)
		}
	}
	return nil
}
