package event

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Bounds on the work that a hostile text can cause. No real event reaches them.
const (
	maxDepth  = 32  // nesting of objects and arrays
	maxNumber = 64  // characters of a number
	maxName   = 100 // bytes of a field name in an error message
)

// ErrMalformed is wrapped by errors about bytes that are not a JSON object, as
// opposed to an object with bad fields.
var ErrMalformed = errors.New("not a JSON object")

type malformed struct{ Invalid }

func (e *malformed) Unwrap() []error { return []error{ErrMalformed, &e.Invalid} }

func malform(field, format string, args ...any) error {
	return &malformed{Invalid{[]Fault{{field, fmt.Sprintf(format, args...)}}}}
}

// parseObject reads the named fields of an object. It refuses what encoding/json
// silently repairs: lone surrogates and invalid UTF-8 (which become U+FFFD),
// duplicate names (the last one wins) and "PRICE" for "price". Otherwise two
// different texts could become the same event.
func parseObject(data []byte, names ...string) (*fields, error) {
	if f, ok := parsePlain(data, names); ok {
		return f, nil
	}
	if err := checkEncoding(data); err != nil {
		return nil, err
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(data)) // reads data in place
	switch kind := dec.PeekKind(); kind {
	case '{':
	default:
		// The first character suggests a kind, but "no" is not null and "fine" is no boolean.
		if _, err := dec.ReadToken(); err != nil {
			return nil, explain(err, data)
		}
		return nil, malform("", "is %s: a JSON object is expected", kindNames[kind])
	}
	f := newFields(names...)
	if err := f.read(dec, data); err != nil {
		return nil, explain(err, data)
	}
	return f, nil
}

var kindNames = map[jsontext.Kind]string{'"': "a JSON string", '0': "a JSON number", '[': "a JSON array", 'n': "null", 't': "a JSON boolean", 'f': "a JSON boolean"}

// checkEncoding names the encoding of data that is not plain JSON text.
func checkEncoding(data []byte) error {
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return malform("", "is empty: a JSON object is expected")
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return malform("", "begins with a byte order mark (UTF-8): send it without")
	case bytes.HasPrefix(data, []byte("\xff\xfe\x00\x00")), bytes.HasPrefix(data, []byte("\x00\x00\xfe\xff")):
		return malform("", "begins with a byte order mark of UTF-32: send UTF-8")
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return malform("", "begins with a byte order mark of UTF-16: send UTF-8")
	case hasZeros(data, "x000"), hasZeros(data, "000x"):
		return malform("", "is UTF-32: send UTF-8")
	case hasZeros(data, "x0x0"), hasZeros(data, "0x0x"):
		return malform("", "is UTF-16: send UTF-8")
	case bytes.HasPrefix(data, []byte("\x1f\x8b")):
		return malform("", "is compressed with gzip: send it as it is")
	case bytes.HasPrefix(data, []byte("\x78\x01")), bytes.HasPrefix(data, []byte("\x78\x9c")), bytes.HasPrefix(data, []byte("\x78\xda")):
		return malform("", "is compressed with zlib (deflate): send it as it is")
	case bytes.HasPrefix(data, []byte("\x28\xb5\x2f\xfd")):
		return malform("", "is compressed with zstd: send it as it is")
	}
	return nil
}

// hasZeros reports whether the first bytes are zero where the pattern has a 0, and
// nowhere else: JSON begins with ASCII, which RFC 4627 told encodings by.
func hasZeros(data []byte, pattern string) bool {
	if len(data) < len(pattern) {
		return false
	}
	for i, c := range []byte(pattern) {
		if (data[i] == 0) != (c == '0') {
			return false
		}
	}
	return true
}

// read takes the whole input: one object, and nothing after it.
func (f *fields) read(dec *jsontext.Decoder, data []byte) error {
	if _, err := dec.ReadToken(); err != nil { // the brace
		return err
	}
	for dec.PeekKind() != '}' {
		token, err := dec.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		value, err := readValue(dec, data)
		if err != nil {
			return err
		}
		f.keep(name, value)
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("there is more text after the object")
	}
	return nil
}

func (f *fields) keep(name string, value jsontext.Value) {
	if i := slices.Index(f.names, name); i >= 0 {
		if f.values[i] != nil {
			f.fault(name, "is given twice")
		}
		f.values[i] = value
		return
	}
	i := slices.IndexFunc(f.names, func(known string) bool { return strings.EqualFold(known, name) })
	if i >= 0 && len(f.faults) < len(f.names) {
		f.fault(name, "must be written %q", f.names[i])
	}
}

// readValue returns a scalar. Of an object or array it returns only the first
// character, because no event has a field of these types.
func readValue(dec *jsontext.Decoder, data []byte) (jsontext.Value, error) {
	kind := dec.PeekKind()
	if kind != '{' && kind != '[' {
		value, err := dec.ReadValue()
		end := int(dec.InputOffset())
		return data[end-len(value) : end], err // the decoder's own copy is valid only until its next call
	}
	for above := dec.StackDepth(); ; {
		if _, err := dec.ReadToken(); err != nil {
			return nil, err
		}
		switch depth := dec.StackDepth(); {
		case depth == above:
			return jsontext.Value{byte(kind)}, nil
		case depth > maxDepth:
			return nil, errTooDeep
		}
	}
}

var errTooDeep = fmt.Errorf("objects and arrays are nested more than %d levels deep", maxDepth)

// notANumber matches what encoders of other languages write for NaN and infinity.
var notANumber = regexp.MustCompile(`"([A-Za-z]+)"\s*:\s*-?(NaN|Infinity|inf|nan)\b`)

// explain names the field at fault, if there is one.
func explain(err error, data []byte) error {
	if m := notANumber.FindSubmatch(data); m != nil {
		return malform(string(m[1]), "must be a finite number; JSON has no %s", m[2])
	}
	var syntactic *jsontext.SyntacticError
	if !errors.As(err, &syntactic) {
		return malform("", "is not valid JSON: %s", err)
	}
	field := ""
	for token := range syntactic.JSONPointer.Tokens() {
		field = shortened(token)
		break
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName) && syntactic.JSONPointer.Parent() == "":
		return malform(field, "is given twice")
	case errors.Is(err, jsontext.ErrDuplicateName):
		return malform(field, "has %q twice", shortened(syntactic.JSONPointer.LastToken()))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return malform("", "is not valid JSON: it ends too early")
	}
	return malform(field, "is not valid JSON: %s at byte %d", syntactic.Err, syntactic.ByteOffset)
}

func shortened(name string) string {
	if len(name) <= maxName {
		return name
	}
	return strings.ToValidUTF8(name[:maxName], "") + "…"
}
