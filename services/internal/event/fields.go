package event

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Fault is one thing wrong with one field of an event or a request body.
// Field is empty if the text is not a JSON object at all.
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

// fields reads an object field by field and collects all faults.
type fields struct {
	names  []string
	values []jsontext.Value // in the order of names; nil if absent
	faults []Fault
}

func newFields(names ...string) *fields {
	return &fields{names: names, values: make([]jsontext.Value, len(names))}
}

func (f *fields) fault(field, format string, args ...any) {
	f.faults = append(f.faults, Fault{field, fmt.Sprintf(format, args...)})
}

func (f *fields) err() error {
	if len(f.faults) == 0 {
		return nil
	}
	return &Invalid{f.faults}
}

func (f *fields) value(name string) jsontext.Value { return f.values[slices.Index(f.names, name)] }

func (f *fields) has(name string) bool { return given(f.value(name)) }

// given reports whether a field is there, and not null.
func given(value jsontext.Value) bool { return value != nil && value.Kind() != 'n' }

// text reads a required string of 1 to limit characters.
func (f *fields) text(name string, limit int) string {
	value := f.value(name)
	if !given(value) {
		f.fault(name, "is required")
		return ""
	}
	if value.Kind() != '"' {
		f.fault(name, "must be a string")
		return ""
	}
	s := unquote(value)
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

// unquote returns the string of a JSON string, whose syntax was checked before.
func unquote(value jsontext.Value) string {
	if plain := value[1 : len(value)-1]; bytes.IndexByte(plain, '\\') < 0 {
		return string(plain)
	}
	unquoted, _ := jsontext.AppendUnquote(nil, value)
	return string(unquoted)
}

// optional reads a string that may be absent; it returns "" then.
func (f *fields) optional(name string, limit int) string {
	if !f.has(name) {
		return ""
	}
	return f.text(name, limit)
}

// number reads a required JSON number as its text.
func (f *fields) number(name string) (text []byte, ok bool) {
	value := f.value(name)
	switch {
	case !given(value):
		f.fault(name, "is required")
		return nil, false
	case value.Kind() != '0':
		f.fault(name, "must be a number")
		return nil, false
	case len(value) > maxNumber:
		f.fault(name, "must have at most %d digits", maxNumber)
		return nil, false
	}
	return value, true
}

// double reads a required number that a double can hold.
func (f *fields) double(name string) (value float64, ok bool) {
	text, ok := f.number(name)
	if !ok {
		return 0, false
	}
	value, err := strconv.ParseFloat(string(text), 64)
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
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		value, _ := strconv.ParseFloat(string(text), 64)
		const exact = 1 << 53 // beyond, a double can't tell whole numbers apart
		if !isWhole(string(text)) || math.Abs(value) > exact {
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

// isWhole examines a JSON number's digits, because 3.00000000000000000001 as a
// double is 3.
func isWhole(text string) bool {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(text, "-")), "e")
	units, fraction, _ := strings.Cut(mantissa, ".")
	significant := strings.TrimRight(units+fraction, "0")
	shift, _ := strconv.Atoi(exponent) // 0 if absent; the greatest value if out of range
	return significant == "" || len(significant)-len(units) <= shift
}
