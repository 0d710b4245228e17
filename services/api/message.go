package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// message is the JSON form of a record. The first six fields are those of the original
// system; the others are left out if they would say nothing.
type message struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Offset    string  `json:"offset"` // a string: too large for a JSON number to hold exactly
	Timestamp string  `json:"timestamp"`
	Key       *string `json:"key"`
	Value     *string `json:"value"`

	KeyEncoding   string   `json:"keyEncoding,omitempty"`
	ValueEncoding string   `json:"valueEncoding,omitempty"`
	TimestampType string   `json:"timestampType,omitempty"` // LogAppendTime, or empty for CreateTime
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

// encodePage returns the JSON array of the first n records. A text may become six
// times as long in JSON: n is smaller than the number of records if all of them
// would exceed most bytes.
func encodePage(topic string, records []record, most int64) (body []byte, n int, err error) {
	var size int64
	for i := range records {
		size += records[i].size()
	}
	out := bytes.NewBuffer(make([]byte, 0, min(size, most)+2))
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false) // leaves < and > readable
	out.WriteByte('[')
	for i := range records {
		before := out.Len()
		if i > 0 {
			out.WriteByte(',')
		}
		if err := encoder.Encode(newMessage(topic, &records[i])); err != nil {
			return nil, 0, fmt.Errorf("encoding a message: %w", err)
		}
		out.Truncate(out.Len() - 1) // the encoder's newline
		if i > 0 && int64(out.Len()) > most {
			out.Truncate(before)
			break
		}
		n++
	}
	out.WriteString("]\n")
	return out.Bytes(), n, nil
}

// jsonSize returns the length of a text in JSON.
func jsonSize(b []byte) int {
	if !utf8.Valid(b) {
		return base64.StdEncoding.EncodedLen(len(b))
	}
	size := len(b)
	for _, c := range b {
		if c < ' ' {
			size += mostEscaped - 1
		} else if c == '"' || c == '\\' {
			size++
		}
	}
	return size
}

// mostEscaped is the maximum length in JSON of one byte of text.
const mostEscaped = 6

// text returns bytes as a JSON string: null as null, UTF-8 as it is, anything else in
// base64 with encoding "base64".
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

// isoTime formats a timestamp as JavaScript's toISOString does, including years of more
// than four digits: a producer may set microseconds by mistake.
func isoTime(milliseconds int64) string {
	t := time.UnixMilli(milliseconds).UTC()
	if year := t.Year(); year < 0 || year > 9999 {
		return fmt.Sprintf("%+07d-%s", year, t.Format("01-02T15:04:05.000Z"))
	}
	return t.Format("2006-01-02T15:04:05.000Z")
}
