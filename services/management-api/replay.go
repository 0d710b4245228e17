package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/prometheus/client_golang/prometheus"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/otlp"
	"shopstream/services/internal/telemetry"
)

// replayChunk is how many letters wait for their acknowledgement at once.
const replayChunk = 500

// letterLimits let any letter pass that newLetterProducer has sent.
var letterLimits = kafkax.Limits{Record: mostLetterBytes, Batch: recordLimits.Batch}

type replayOptions struct {
	dryRun        bool
	all           bool
	fromBeginning bool
	mended        string
}

func parseReplayOptions(args []string, stderr io.Writer) (replayOptions, error) {
	var o replayOptions
	flags := flag.NewFlagSet("management-api replay-dlq", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.dryRun, "dry-run", false, "print each letter as a JSON line and change nothing")
	flags.BoolVar(&o.all, "all", false, "also put back what would be refused again")
	flags.BoolVar(&o.fromBeginning, "from-beginning", false, "start at the oldest letter, not where the last run ended")
	flags.StringVar(&o.mended, "mended", "", "`file` with JSON lines as --dry-run prints them, whose values were corrected")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return o, nil
}

// replayDLQ puts dead letters back on the topic that they came from, in the order of
// each partition, from where the last run ended up to the end of the log at its start.
// Letters that would be refused again are left, and written to stdout. The group's
// offset stays before the first of them, so that a later run, after an upgrade or with
// --mended, reads them again. Letters that are put back twice are stored once. What
// can't be read is printed with its position, and passed.
func replayDLQ(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	opts, err := parseReplayOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	cfg, err := envconf.Load[replayConfig](environ)
	if err != nil {
		return err
	}
	mended, err := readMended(opts.mended)
	if err != nil {
		return err
	}
	// Only letters go to stdout, so that the output can be corrected and passed back
	// as a file.
	log := telemetry.NewLogger(stderr, cfg.Log, "management-api")
	reader, err := openTopic(ctx, cfg.Kafka, cfg.Topics.DeadLetters, letterLimits, replayGroup, log)
	if err != nil {
		return err
	}
	defer reader.close()
	reg := prometheus.NewRegistry() // not exported
	tracer := otlp.New(cfg.Trace, "management-api", log, reg)
	defer tracer.Stop(context.WithoutCancel(ctx))
	producer, err := newLetterProducer(cfg.Kafka, cfg.Topics.Purchases, replayChunk, tracer, log, reg)
	if err != nil {
		return err
	}
	produced := make(chan error, 1)
	go func() { produced <- producer.Run(ctx) }()
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		producer.Stop(stop)
		if err := <-produced; err != nil {
			log.Warn("the producer ended with an error", "error", err)
		}
	}()

	r := replay{opts: opts, mended: mended, producer: producer, out: letterPrinter{stdout}, log: log, passed: map[int32]place{}, left: map[int32]place{}}
	return r.run(ctx, reader, stderr)
}

// replay is one run of replay-dlq.
type replay struct {
	opts     replayOptions
	mended   map[position]mending
	producer *kafkax.Producer
	out      letterPrinter
	log      *slog.Logger

	passed map[int32]place // what follows the letters with a known outcome, per partition
	left   map[int32]place // the first letter left, per partition
	counts struct{ read, back, left, failed int }
}

func (r *replay) run(ctx context.Context, reader *topicReader, stderr io.Writer) error {
	if r.opts.fromBeginning {
		reader.begin(nil)
	} else if err := reader.resume(ctx); err != nil {
		return err
	}
	err := r.readAll(ctx, reader)
	if err == nil {
		r.reportUnmatched(reader)
	}
	if !r.opts.dryRun {
		// After an error or an interruption too, because some letters were put back.
		err = errors.Join(err, reader.commit(context.WithoutCancel(ctx), r.passed, r.left))
	}
	verb := "put back"
	if r.opts.dryRun {
		verb = "would be put back"
	}
	fmt.Fprintf(stderr, "replay-dlq: %d letters read, %d %s, %d left, %d failed\n", r.counts.read, r.counts.back, verb, r.counts.left, r.counts.failed)
	if err == nil && r.counts.failed > 0 {
		err = fmt.Errorf("%d letters failed", r.counts.failed)
	}
	return err
}

func (r *replay) readAll(ctx context.Context, reader *topicReader) error {
	for {
		letters, err := reader.next(ctx, replayChunk)
		if err != nil {
			return err
		}
		if letters.empty() {
			return nil
		}
		if err := r.take(ctx, letters.items); err != nil {
			return err
		}
		maps.Copy(r.passed, letters.next)
	}
}

// take decides on some letters, and puts back those that may go back.
func (r *replay) take(ctx context.Context, letters []*item) error {
	var back []*kafka.Message
	var records []kafkax.Record
	for _, letter := range letters {
		m := letter.message
		if letter.refusal != nil {
			m = unreadableLetter(letter)
		}
		r.counts.read++
		var mended *mending
		if found, ok := r.mended[positionOf(m)]; ok {
			mended = &found
			delete(r.mended, positionOf(m))
		}
		v := judge(m, mended, r.opts.all)
		if r.opts.dryRun {
			if err := r.out.print(m, v.refusal); err != nil {
				return err
			}
		}
		switch {
		case v.back:
			back, records = append(back, m), append(records, v.record)
		case v.failed:
			r.counts.failed++
			r.leave(m, v.refusal)
		case v.lasting:
			r.counts.left++
			r.report(m, v.refusal)
		default:
			r.counts.left++
			r.leave(m, v.refusal)
		}
	}
	if r.opts.dryRun {
		r.counts.back += len(back)
		return nil
	}
	var failed error
	for i, s := range send(ctx, r.producer, records) {
		if s.err != nil {
			r.counts.failed++
			r.leave(back[i], s.err)
			failed = s.err
			continue
		}
		r.counts.back++
	}
	if failed != nil {
		return fmt.Errorf("putting letters back: %w", failed)
	}
	return nil
}

// leave keeps the group's offset before the letter, and reports the letter.
func (r *replay) leave(m *kafka.Message, why error) {
	p := m.TopicPartition
	if first, ok := r.left[p.Partition]; !ok || p.Offset < first.offset {
		r.left[p.Partition] = placeOf(m)
	}
	r.report(m, why)
}

// report prints and logs why a letter was not put back.
func (r *replay) report(m *kafka.Message, why error) {
	if r.opts.dryRun {
		return // printed already
	}
	if err := r.out.print(m, why); err != nil {
		r.log.Error("reporting a letter", "error", err)
	}
	r.log.Warn("letter left", "partition", m.TopicPartition.Partition, "offset", int64(m.TopicPartition.Offset), "error", why)
}

// reportUnmatched reports corrected letters that were not among those read, so that a
// mistake in the file is not taken for a success.
func (r *replay) reportUnmatched(reader *topicReader) {
	for p := range r.mended {
		if reader.isBefore(p) {
			// Already done, if the same file is used a second time.
			r.log.Warn("mended letter was passed by an earlier run; --from-beginning takes it up again", "partition", p.partition, "offset", p.offset)
			continue
		}
		r.counts.failed++
		r.log.Error("mended letter does not exist", "partition", p.partition, "offset", p.offset)
	}
}
