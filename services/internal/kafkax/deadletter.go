package kafkax

import (
	"strconv"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Headers of a dead letter: where the record came from and why it was refused. Its
// own key, value and headers are kept unchanged.
const (
	HeaderReason    = "dlq-reason"    // one of "decode", "invalid", "rejected" or "unreadable"
	HeaderError     = "dlq-error"     // what was wrong, in words
	HeaderTopic     = "dlq-topic"     // source topic
	HeaderTopicID   = "dlq-topic-id"  // id of the source topic, which changes if the topic is recreated; absent if unknown
	HeaderPartition = "dlq-partition" // source partition
	HeaderOffset    = "dlq-offset"    // source offset
	HeaderGroup     = "dlq-group"     // consumer group that refused it
	HeaderAt        = "dlq-at"        // when, RFC 3339
	HeaderTimestamp = "dlq-timestamp" // timestamp of the source record, in milliseconds since 1970; absent if it has none
	// HeaderLast is the last source offset, if the letter stands for all records of
	// an unreadable batch. Its value is then the batch as it is in the log.
	HeaderLast = "dlq-last-offset"
)

// MemoryOf estimates how many bytes a message takes in memory.
func MemoryOf(m *kafka.Message) int {
	size := 512 + len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		size += headerCost + len(h.Key) + len(h.Value)
	}
	return size
}

// DeadLetter returns the record to put on dlqTopic for a message that group
// refused: the raw bytes, with the reason and the source as headers. The
// message's metadata is the label of its position, as a Reader sets it.
//
// The letter's own timestamp is now. With that of the source, which any producer
// can set to anything, a broker could delete the letter at once, since retention
// goes by timestamps, or refuse it as too far in the future.
func DeadLetter(m *kafka.Message, dlqTopic, group, reason string, cause error, now time.Time) Record {
	headers := make([]kafka.Header, 0, len(m.Headers)+8)
	for _, h := range m.Headers {
		// A dead letter that was replayed and refused again has only one set of them.
		if !isDeadLetterHeader(h.Key) {
			headers = append(headers, h)
		}
	}
	for _, h := range [][2]string{
		{HeaderReason, reason},
		{HeaderError, cause.Error()},
		{HeaderTopic, *m.TopicPartition.Topic},
		{HeaderTopicID, LabelField(m.TopicPartition.Metadata, "log")},
		{HeaderPartition, strconv.Itoa(int(m.TopicPartition.Partition))},
		{HeaderOffset, strconv.FormatInt(int64(m.TopicPartition.Offset), 10)},
		{HeaderGroup, group},
		{HeaderAt, now.UTC().Format(time.RFC3339Nano)},
		{HeaderTimestamp, timestampText(SourceTime(m))},
	} {
		if h[1] != "" {
			headers = append(headers, kafka.Header{Key: h[0], Value: []byte(h[1])})
		}
	}
	return Record{Topic: dlqTopic, Key: m.Key, Value: m.Value, Headers: headers, Timestamp: now}
}

// SourceTime returns the timestamp of the record that a message is, or that a
// replayed dead letter was at first; the zero time if it has none.
func SourceTime(m *kafka.Message) time.Time {
	if at, err := strconv.ParseInt(Header(m.Headers, HeaderTimestamp), 10, 64); err == nil {
		return time.UnixMilli(at)
	}
	return m.Timestamp
}

func timestampText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}

func isDeadLetterHeader(key string) bool {
	switch key {
	case HeaderReason, HeaderError, HeaderTopic, HeaderTopicID, HeaderPartition, HeaderOffset, HeaderGroup, HeaderAt, HeaderTimestamp:
		return true
	}
	return false
}

// Header returns a header's value, or "".
func Header(headers []kafka.Header, key string) string {
	for _, h := range headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// WithoutDeadLetterHeaders returns the headers that the source record had.
func WithoutDeadLetterHeaders(headers []kafka.Header) []kafka.Header {
	var own []kafka.Header
	for _, h := range headers {
		if !isDeadLetterHeader(h.Key) {
			own = append(own, h)
		}
	}
	return own
}

// Message returns the message to make a dead letter from: its offset is the first of
// the range, its value the batch.
func (u *Unreadable) Message() *kafka.Message {
	return &kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &u.Topic, Partition: u.Partition, Offset: kafka.Offset(u.First), Metadata: &u.Label},
		Value:          u.Raw,
		Headers:        []kafka.Header{{Key: HeaderLast, Value: []byte(strconv.FormatInt(u.Last, 10))}},
	}
}
