package event

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// parsePlain reads what our own services write: one flat object of known fields,
// each given once, whose strings have no escapes. Decoding an order takes a
// third of the time that it takes with parseObject, which was most of what the
// consumer computed for it.
//
// It reports false for any other text, valid or not, and parseObject then reads it
// or says what is wrong with it. So it refuses nothing, and may accept only what
// parseObject reads in the same way; FuzzPlainReadsTheSame compares them.
func parsePlain(data []byte, names []string) (*fields, bool) {
	if !utf8.Valid(data) {
		return nil, false
	}
	s := scanner{data}
	if !s.take('{') {
		return nil, false
	}
	f := newFields(names...)
	for {
		name, ok := s.text()
		if !ok || !s.take(':') {
			return nil, false
		}
		i := slices.Index(f.names, string(name[1:len(name)-1]))
		if i < 0 || f.values[i] != nil {
			return nil, false
		}
		if f.values[i], ok = s.scalar(); !ok {
			return nil, false
		}
		if s.take(',') {
			continue
		}
		return f, s.take('}') && s.ended()
	}
}

// scanner takes tokens from the front of a text.
type scanner struct{ rest []byte }

func (s *scanner) space() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\t' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}

func (s *scanner) take(c byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) ended() bool {
	s.space()
	return len(s.rest) == 0
}

// cut takes the first n bytes.
func (s *scanner) cut(n int) jsontext.Value {
	taken := s.rest[:n]
	s.rest = s.rest[n:]
	return taken
}

// scalar takes a string, a number, true, false or null.
func (s *scanner) scalar() (jsontext.Value, bool) {
	s.space()
	for _, literal := range [...]string{"null", "true", "false"} {
		if bytes.HasPrefix(s.rest, []byte(literal)) {
			return s.cut(len(literal)), true
		}
	}
	if len(s.rest) > 0 && s.rest[0] == '"' {
		return s.text()
	}
	return s.number()
}

// text takes a string without escapes, with its quotes.
func (s *scanner) text() (jsontext.Value, bool) {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != '"' {
		return nil, false
	}
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			return s.cut(i + 1), true
		case c == '\\', c < ' ':
			return nil, false
		}
	}
	return nil, false
}

// number takes a number as RFC 8259 writes it: no leading zero, plus or bare point.
func (s *scanner) number() (jsontext.Value, bool) {
	at := func(i int) byte {
		if i < len(s.rest) {
			return s.rest[i]
		}
		return 0
	}
	digits := func(i int) int {
		for at(i) >= '0' && at(i) <= '9' {
			i++
		}
		return i
	}
	start := 0
	if at(0) == '-' {
		start = 1
	}
	end := digits(start)
	if end == start || at(start) == '0' && end > start+1 {
		return nil, false
	}
	if at(end) == '.' {
		fraction := end + 1
		if end = digits(fraction); end == fraction {
			return nil, false
		}
	}
	if at(end) == 'e' || at(end) == 'E' {
		exponent := end + 1
		if at(exponent) == '+' || at(exponent) == '-' {
			exponent++
		}
		if end = digits(exponent); end == exponent {
			return nil, false
		}
	}
	return s.cut(end), true
}
