package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/prometheus/client_golang/prometheus"

	"shopstream/services/internal/event"
	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/trace"
)

// Reasons of dead letters, for the dlq-reason header and the metric.
const (
	reasonDecode   = "decode"   // not a JSON object, or no value at all
	reasonInvalid  = "invalid"  // a rule of the event contract is broken
	reasonRejected = "rejected" // the database's own validation refuses it
	// reasonUnreadable: the codec, checksum, format or size makes it unreadable.
	reasonUnreadable = "unreadable"
)

// headerTruncated marks a letter whose record was too large for the dead letters'
// topic. Its value is the original size in bytes.
const headerTruncated = "dlq-truncated"

// refusal is why a message goes to the dead letters.
type refusal struct {
	reason string
	err    error
}

func refusalOf(err error) *refusal {
	if errors.Is(err, event.ErrMalformed) {
		return &refusal{reasonDecode, err}
	}
	return &refusal{reasonInvalid, err}
}

// shortened bounds an error's text, which becomes a header.
func shortened(err error) error {
	const limit = 1024
	if text := err.Error(); len(text) > limit {
		return errors.New(strings.ToValidUTF8(text[:limit], "") + "…")
	}
	return err
}

// sourceOf returns the position at which the message was first read: the one in the
// headers of a replayed dead letter, or else its own. So an event without an id keeps
// its derived id through a replay, and a letter that is refused again still names its
// origin.
func sourceOf(m *kafka.Message) event.Source {
	if src, ok := letterSource(m.Headers); ok {
		return src
	}
	return event.Source{
		Topic: *m.TopicPartition.Topic, TopicID: kafkax.LabelField(m.TopicPartition.Metadata, "log"),
		Partition: m.TopicPartition.Partition, Offset: int64(m.TopicPartition.Offset),
	}
}

// letterSource reads the source from a dead letter's headers.
func letterSource(headers []kafka.Header) (event.Source, bool) {
	topic := kafkax.Header(headers, kafkax.HeaderTopic)
	partition, perr := strconv.ParseInt(kafkax.Header(headers, kafkax.HeaderPartition), 10, 32)
	offset, oerr := strconv.ParseInt(kafkax.Header(headers, kafkax.HeaderOffset), 10, 64)
	if topic == "" || perr != nil || oerr != nil || partition < 0 || offset < 0 {
		return event.Source{}, false
	}
	return event.Source{Topic: topic, TopicID: kafkax.Header(headers, kafkax.HeaderTopicID), Partition: int32(partition), Offset: offset}, true
}

// letterOf makes the dead letter of a refused message.
func letterOf(i *item, dlqTopic, group string, now time.Time) kafkax.Record {
	src := sourceOf(i.message)
	label := kafkax.Position{Log: src.TopicID, LeaderEpoch: -1}.Label()
	origin := *i.message
	origin.TopicPartition = kafka.TopicPartition{Topic: &src.Topic, Partition: src.Partition, Offset: kafka.Offset(src.Offset), Metadata: &label}
	return kafkax.DeadLetter(&origin, dlqTopic, group, i.refusal.reason, i.refusal.err, now)
}

// truncated returns a letter small enough for any topic, with the beginning of the
// value, so that a letter that is too large doesn't block the partition. The source
// topic has the whole record for as long as it keeps it.
func truncated(letter kafkax.Record) kafkax.Record {
	const keep = 64 << 10
	var headers []kafka.Header
	for _, name := range []string{kafkax.HeaderReason, kafkax.HeaderError, kafkax.HeaderTopic, kafkax.HeaderTopicID, kafkax.HeaderPartition, kafkax.HeaderOffset, kafkax.HeaderGroup, kafkax.HeaderAt, kafkax.HeaderTimestamp, kafkax.HeaderLast} {
		if value := kafkax.Header(letter.Headers, name); value != "" {
			headers = append(headers, kafka.Header{Key: name, Value: []byte(value)})
		}
	}
	letter.Headers = append(kafkax.TraceHeaders(letter.Headers), append(headers, kafka.Header{Key: headerTruncated, Value: []byte(strconv.Itoa(len(letter.Value)))})...)
	letter.Value = letter.Value[:min(keep, len(letter.Value))]
	letter.Key = letter.Key[:min(keep, len(letter.Key))]
	return letter
}

// isTooLarge reports whether producing failed because the record is too large.
func isTooLarge(err error) bool { return err != nil && !errors.Is(err, kafkax.ErrUnavailable) }

// mostLetterBytes bounds a letter; its topic's own limit is usually less.
const mostLetterBytes = 64 << 20

// newLetterProducer returns a producer that sends letters of any size: the topic's
// own limit applies.
func newLetterProducer(cfg kafkax.Config, topic string, batchSize int, tracer *trace.Tracer, log *slog.Logger, reg prometheus.Registerer) (*kafkax.Producer, error) {
	return kafkax.NewProducer(cfg, kafkax.ProducerConfig{
		Topics: []string{topic}, AckTimeout: 5 * time.Second, MaxPending: max(1000, batchSize), MaxRecordBytes: mostLetterBytes, Tracer: tracer,
	}, "management-api", log, reg)
}

// sent is what became of a letter.
type sent struct {
	placed kafkax.Placed
	err    error
}

// send produces letters and waits until each is acknowledged or has failed.
func send(ctx context.Context, producer *kafkax.Producer, letters []kafkax.Record) []sent {
	type report struct {
		index int
		sent
	}
	all := make([]sent, len(letters))
	reports := make(chan report, len(letters)) // buffered, because nobody receives late reports
	waiting := 0
	for i, letter := range letters {
		if err := producer.Enqueue(trace.Apart(ctx), letter, func(placed kafkax.Placed, err error) { reports <- report{i, sent{placed, err}} }); err != nil {
			all[i].err = err
			continue
		}
		all[i].err = errUnreported
		waiting++
	}
	for ; waiting > 0; waiting-- {
		select {
		case r := <-reports:
			all[r.index] = r.sent
		case <-ctx.Done():
			return all
		}
	}
	return all
}

var errUnreported = fmt.Errorf("%w: no acknowledgement yet", kafkax.ErrUnavailable)
