package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
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

// number reads a required JSON number exactly, as the text says.
func (f *fields) number(name string) (value *big.Rat, ok bool) {
	if !f.has(name) {
		f.fault(name, "is required")
		return nil, false
	}
	raw := string(f.raw[name])
	if raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		f.fault(name, "must be a number")
		return nil, false
	}
	// Bounded before it is expanded: 1e999999999 would take all memory.
	if len(raw) > 64 || exponentTooLarge(raw) {
		f.fault(name, "is out of range")
		return nil, false
	}
	value, ok = new(big.Rat).SetString(raw)
	if !ok {
		f.fault(name, "must be a number")
	}
	return value, ok
}

func exponentTooLarge(number string) bool {
	i := strings.IndexAny(number, "eE")
	if i < 0 {
		return false
	}
	exponent := strings.TrimLeft(strings.TrimLeft(number[i+1:], "+-"), "0")
	return len(exponent) > 2
}

// whole reads a required whole number from low to high.
func (f *fields) whole(name string, low, high int64) int64 {
	value, ok := f.number(name)
	if !ok {
		return 0
	}
	if !value.IsInt() || !value.Num().IsInt64() || value.Num().Int64() < low || value.Num().Int64() > high {
		f.fault(name, "must be a whole number from %d to %d", low, high)
		return 0
	}
	return value.Num().Int64()
}
