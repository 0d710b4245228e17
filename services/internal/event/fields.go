package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Fault is one thing wrong with one field of an event or a request body.
// Field is empty where the whole is not a JSON object.
type Fault struct {
	Field  string
	Detail string
}

// Invalid lists everything wrong with an event or a request body.
type Invalid struct{ Faults []Fault }

func (e *Invalid) Error() string {
	parts := make([]string, 0, len(e.Faults))
	for _, f := range e.Faults {
		if f.Field == "" {
			parts = append(parts, f.Detail)
			continue
		}
		parts = append(parts, f.Field+" "+f.Detail)
	}
	return strings.Join(parts, "; ")
}

// ErrMalformed is wrapped by the error for bytes that are no JSON object, as
// against an object with bad fields.
var ErrMalformed = errors.New("not a JSON object")

// fields reads an object field by field and collects all faults. Names match
// exactly: encoding/json would also take "PRICE" for "price".
type fields struct {
	raw    map[string]json.RawMessage
	faults []Fault
}

// notANumber finds what other languages' encoders write for such prices.
var notANumber = regexp.MustCompile(`"([A-Za-z]+)"\s*:\s*-?(NaN|Infinity|inf|nan)\b`)

func parseObject(data []byte) (*fields, error) {
	f := &fields{}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, &malformed{Invalid{[]Fault{{"", "is empty: a JSON object is expected"}}}}
	}
	if !utf8.Valid(data) {
		return nil, &malformed{Invalid{[]Fault{{"", "is not valid UTF-8"}}}}
	}
	if err := json.Unmarshal(data, &f.raw); err != nil {
		if m := notANumber.FindSubmatch(data); m != nil {
			return nil, &malformed{Invalid{[]Fault{{string(m[1]), "must be a finite number; JSON has no " + string(m[2])}}}}
		}
		var other *json.UnmarshalTypeError
		if errors.As(err, &other) {
			return nil, &malformed{Invalid{[]Fault{{"", "is a JSON " + other.Value + ": an object is expected"}}}}
		}
		return nil, &malformed{Invalid{[]Fault{{"", "is not valid JSON: " + err.Error()}}}}
	}
	if f.raw == nil { // the literal null
		return nil, &malformed{Invalid{[]Fault{{"", "is null: a JSON object is expected"}}}}
	}
	return f, nil
}

type malformed struct{ Invalid }

func (e *malformed) Unwrap() []error { return []error{ErrMalformed, &e.Invalid} }

func (f *fields) fault(field, format string, args ...any) {
	f.faults = append(f.faults, Fault{field, fmt.Sprintf(format, args...)})
}

func (f *fields) err() error {
	if len(f.faults) == 0 {
		return nil
	}
	return &Invalid{f.faults}
}

func (f *fields) has(name string) bool {
	raw, ok := f.raw[name]
	return ok && string(raw) != "null"
}

// text reads a required string of 1 to limit characters.
func (f *fields) text(name string, limit int) string {
	if !f.has(name) {
		f.fault(name, "is required")
		return ""
	}
	var s string
	if json.Unmarshal(f.raw[name], &s) != nil {
		f.fault(name, "must be a string")
		return ""
	}
	switch n := utf8.RuneCountInString(s); {
	case strings.TrimSpace(s) == "":
		f.fault(name, "must not be empty")
	case n > limit:
		f.fault(name, "must have at most %d characters, not %d", limit, n)
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		f.fault(name, "must not contain control characters")
	}
	return s
}

// number reads a required JSON number as its text.
func (f *fields) number(name string) (text string, ok bool) {
	if !f.has(name) {
		f.fault(name, "is required")
		return "", false
	}
	text = string(f.raw[name]) // valid JSON: the first character tells what it is
	if text[0] != '-' && (text[0] < '0' || text[0] > '9') {
		f.fault(name, "must be a number")
		return "", false
	}
	return text, true
}

// double reads a required number that a double can hold.
func (f *fields) double(name string) (value float64, ok bool) {
	text, ok := f.number(name)
	if !ok {
		return 0, false
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		f.fault(name, "is out of range")
		return 0, false
	}
	return value, true
}

// whole reads a required whole number from low to high. 1.0 and 1e3 are whole
// numbers too.
func (f *fields) whole(name string, low, high int64) int64 {
	text, ok := f.number(name)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		value, _ := strconv.ParseFloat(text, 64)
		const exact = 1 << 53 // beyond, a double can't tell whole numbers apart
		if value != math.Trunc(value) || math.Abs(value) > exact {
			f.fault(name, "must be a whole number from %d to %d", low, high)
			return 0
		}
		n = int64(value)
	}
	if n < low || n > high {
		f.fault(name, "must be a whole number from %d to %d", low, high)
		return 0
	}
	return n
}
