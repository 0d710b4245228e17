package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"unicode/utf8"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	strict "github.com/go-json-experiment/json"

	"shopstream/services/internal/event"
	"shopstream/services/internal/kafkax"
)

// position is a letter's position in the dead letters' topic.
type position struct {
	partition int32
	offset    int64
}

func positionOf(m *kafka.Message) position {
	return position{m.TopicPartition.Partition, int64(m.TopicPartition.Offset)}
}

// line is the JSON form of a letter, which replay-dlq prints, and reads back with a
// corrected value.
type line struct {
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Reason    string `json:"reason"`
	Error     string `json:"error"`
	// Now is why it would be refused now; absent if it would be accepted.
	Now    string      `json:"now,omitempty"`
	Source *sourceLine `json:"source"`
	Key    *string     `json:"key"`
	// Encodings are "base64" if the bytes are not text, else absent.
	KeyEncoding   string  `json:"keyEncoding,omitempty"`
	Value         *string `json:"value"`
	ValueEncoding string  `json:"valueEncoding,omitempty"`
}

type sourceLine struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	TopicID   string `json:"topicId,omitempty"`
}

func lineOf(m *kafka.Message, now error) line {
	l := line{
		Partition: m.TopicPartition.Partition, Offset: int64(m.TopicPartition.Offset),
		Reason: kafkax.Header(m.Headers, kafkax.HeaderReason), Error: kafkax.Header(m.Headers, kafkax.HeaderError),
	}
	if now != nil {
		l.Now = now.Error()
	}
	if src, ok := letterSource(m.Headers); ok {
		l.Source = &sourceLine{src.Topic, src.Partition, src.Offset, src.TopicID}
	}
	l.Key, l.KeyEncoding = textOf(m.Key)
	l.Value, l.ValueEncoding = textOf(m.Value)
	return l
}

func textOf(data []byte) (text *string, encoding string) {
	switch {
	case data == nil:
		return nil, ""
	case utf8.Valid(data):
		s := string(data)
		return &s, ""
	}
	s := base64.StdEncoding.EncodeToString(data)
	return &s, "base64"
}

func bytesOf(text *string, encoding string) ([]byte, error) {
	switch {
	case text == nil:
		return nil, nil
	case encoding == "":
		return []byte(*text), nil
	case encoding == "base64":
		return base64.StdEncoding.DecodeString(*text)
	}
	return nil, fmt.Errorf("encoding %q is unknown", encoding)
}

type letterPrinter struct{ w io.Writer }

func (p letterPrinter) print(m *kafka.Message, now error) error {
	encoder := json.NewEncoder(p.w)
	encoder.SetEscapeHTML(false) // easier to read
	if err := encoder.Encode(lineOf(m, now)); err != nil {
		return fmt.Errorf("printing a letter: %w", err)
	}
	return nil
}

// readMended reads a file of corrected letters; an empty name means none.
func readMended(name string) (map[position]mending, error) {
	mended := map[position]mending{}
	if name == "" {
		return mended, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading mended letters: %w", err)
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 256<<20)
	var faults []error
	for number := 1; lines.Scan(); number++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		at, m, err := parseMending(lines.Bytes())
		if _, twice := mended[at]; err == nil && twice {
			err = fmt.Errorf("partition %d offset %d is given twice", at.partition, at.offset)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s line %d: %w", name, number, err))
			continue
		}
		mended[at] = m
	}
	if err := lines.Err(); err != nil {
		faults = append(faults, fmt.Errorf("reading mended letters: %w", err))
	}
	return mended, errors.Join(faults...)
}

// mending is the corrected value of a letter.
type mending struct{ value []byte }

func parseMending(data []byte) (position, mending, error) {
	var l struct {
		Partition     *int32  `json:"partition"`
		Offset        *int64  `json:"offset"`
		Value         *string `json:"value"`
		ValueEncoding string  `json:"valueEncoding"`
	}
	// The strict decoder refuses what the other one would repair, such as half a surrogate
	// pair or a second value.
	if err := strict.Unmarshal(data, &l); err != nil {
		return position{}, mending{}, fmt.Errorf("not a letter as --dry-run prints it: %w", err)
	}
	if l.Partition == nil || l.Offset == nil {
		return position{}, mending{}, errors.New("partition and offset are required, to identify the letter")
	}
	value, err := bytesOf(l.Value, l.ValueEncoding)
	if err != nil {
		return position{}, mending{}, fmt.Errorf("value: %w", err)
	}
	return position{*l.Partition, *l.Offset}, mending{value}, nil
}

// unreadableLetter stands for letters that can't be read: its value is their batch.
func unreadableLetter(i *item) *kafka.Message {
	m := *i.message
	m.Headers = []kafka.Header{
		{Key: kafkax.HeaderReason, Value: []byte(i.refusal.reason)},
		{Key: kafkax.HeaderError, Value: []byte(i.refusal.err.Error())},
	}
	return &m
}

// verdict is what to do with a letter.
type verdict struct {
	back    bool          // put record back
	record  kafkax.Record // if back
	failed  bool          // it was corrected, and would still be refused
	lasting bool          // no later run can put it back either, so the offset passes it
	refusal error         // why it would be refused, whether it goes back or not
}

// judge decides on a letter. A corrected one goes back with its new value, and its
// original key, headers and source.
func judge(m *kafka.Message, mended *mending, all bool) verdict {
	if kafkax.Header(m.Headers, kafkax.HeaderReason) == reasonUnreadable {
		return verdict{
			failed: mended != nil && !bytes.Equal(mended.value, m.Value), lasting: true,
			refusal: errors.New("its value is an unreadable record batch, not a record: recover the records by hand if you can"),
		}
	}
	src, ok := letterSource(m.Headers)
	if !ok {
		return verdict{refusal: errors.New("no source in its headers: not a dead letter of this service")}
	}
	value, changed := m.Value, false
	if mended != nil {
		value, changed = mended.value, !bytes.Equal(mended.value, m.Value)
	}
	if size := kafkax.Header(m.Headers, headerTruncated); size != "" && !changed {
		return verdict{refusal: fmt.Errorf("only the beginning of its %s bytes is here: mend it, or copy the record from its source", size)}
	}
	// With its source, an event without an id gets the same derived id as before.
	_, refusal := event.DecodePurchase(value, src, defaultCurrency)
	if refusal != nil && (changed || !all) {
		return verdict{failed: changed, refusal: refusal}
	}
	return verdict{back: true, refusal: refusal, record: kafkax.Record{
		Topic: src.Topic, Key: m.Key, Value: value, Headers: replayHeaders(m.Headers), // with a new timestamp: retention could delete it before it is read
	}}
}

// replayHeaders returns the record's own headers, and those with the position at which
// it was first read, and its timestamp there, for sourceOf and kafkax.SourceTime.
func replayHeaders(headers []kafka.Header) []kafka.Header {
	own := slices.DeleteFunc(kafkax.WithoutDeadLetterHeaders(headers), func(h kafka.Header) bool { return h.Key == headerTruncated })
	for _, name := range []string{kafkax.HeaderTopic, kafkax.HeaderTopicID, kafkax.HeaderPartition, kafkax.HeaderOffset, kafkax.HeaderTimestamp} {
		if value := kafkax.Header(headers, name); value != "" { // letters of earlier versions have no topic id
			own = append(own, kafka.Header{Key: name, Value: []byte(value)})
		}
	}
	return own
}
