package main

import (
	"encoding/base64"
	"math"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestCursorRoundTrip(t *testing.T) {
	for _, want := range []cursor{
		{0, uuid.Nil.String()},
		{1767323045.678901, "019b7b5c-5b1e-7a3c-8f00-0123456789ab"},
		{253402300799.999999, uuid.NewString()},
		{math.SmallestNonzeroFloat64, uuid.NewString()},
	} {
		text := want.String()
		got, err := parseCursor(text)
		if err != nil || got != want {
			t.Errorf("%+v came back from %q as %+v, %v", want, text, got, err)
		}
		if url.QueryEscape(text) != text {
			t.Errorf("%q is not safe in a URL", text)
		}
	}
}

func TestACursorBeforeZeroIsBad(t *testing.T) {
	if c, err := parseCursor(cursor{timestamp: math.Copysign(0, -1), id: "019b7b5c-5b1e-7a3c-8f00-0123456789ab"}.String()); err == nil {
		t.Errorf("read %+v", c)
	}
}

func TestBadCursors(t *testing.T) {
	valid := cursor{1, uuid.NewString()}.String()
	number := func(f float64) string { return cursor{f, uuid.NewString()}.String() }
	for name, text := range map[string]string{
		"empty": "", "words": "yesterday", "an offset": "100", "a uuid": uuid.NewString(),
		"cut": valid[:31], "longer": valid + "A", "padded": valid + "=", "of another alphabet": "+" + valid[1:],
		"not a number": number(math.NaN()), "infinite": number(math.Inf(1)), "before 1970": number(-1),
		"long": strings.Repeat("A", 1000), "binary": base64.StdEncoding.EncodeToString([]byte("\x00\xff")),
	} {
		if c, err := parseCursor(text); err == nil {
			t.Errorf("%s: %q was taken as %+v", name, text, c)
		}
	}
}
