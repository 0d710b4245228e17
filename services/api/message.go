package main

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// message is a record as callers see it. The first six fields are what they
// always were; the others come only where they say something.
type message struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Offset    string  `json:"offset"` // beyond what a JSON number holds exactly
	Timestamp string  `json:"timestamp"`
	Key       *string `json:"key"`
	Value     *string `json:"value"`

	KeyEncoding   string   `json:"keyEncoding,omitempty"`
	ValueEncoding string   `json:"valueEncoding,omitempty"`
	TimestampType string   `json:"timestampType,omitempty"` // LogAppendTime; CreateTime goes without saying
	Headers       []header `json:"headers,omitempty"`       // in the record's order; a key may repeat
}

type header struct {
	Key           string  `json:"key"`
	Value         *string `json:"value"`
	ValueEncoding string  `json:"valueEncoding,omitempty"`
}

func newMessage(topic string, r *record) message {
	m := message{
		Topic:     topic,
		Partition: r.partition,
		Offset:    strconv.FormatInt(r.offset, 10),
		Timestamp: isoTime(r.timestamp),
	}
	m.Key, m.KeyEncoding = text(r.key)
	m.Value, m.ValueEncoding = text(r.value)
	if r.appendTime {
		m.TimestampType = "LogAppendTime"
	}
	for _, h := range r.headers {
		value, encoding := text(h.Value)
		m.Headers = append(m.Headers, header{h.Key, value, encoding})
	}
	return m
}

// text returns bytes as a JSON string can carry them: null as null, UTF-8 as
// it is, anything else as base64 and said so.
func text(b []byte) (value *string, encoding string) {
	switch {
	case b == nil:
		return nil, ""
	case utf8.Valid(b):
		s := string(b)
		return &s, ""
	}
	s := base64.StdEncoding.EncodeToString(b)
	return &s, "base64"
}

// isoTime is a timestamp as JavaScript's toISOString writes it, in years
// beyond four digits too: a producer may stamp in microseconds.
func isoTime(milliseconds int64) string {
	t := time.UnixMilli(milliseconds).UTC()
	if year := t.Year(); year < 0 || year > 9999 {
		return fmt.Sprintf("%+07d-%s", year, t.Format("01-02T15:04:05.000Z"))
	}
	return t.Format("2006-01-02T15:04:05.000Z")
}
