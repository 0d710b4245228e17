package main

import (
	"strings"
	"testing"
)

func TestLinesAreKeptWhole(t *testing.T) {
	var text strings.Builder
	c := newConsole(&text, false)
	a, b := c.stream("api"), c.stream("consumer")
	a.Write([]byte("one\ntw"))
	b.Write([]byte("eins\n"))
	a.Write([]byte("o\n"))
	b.Write([]byte("no end"))
	b.flush()
	want := "api            | one\nconsumer       | eins\napi            | two\nconsumer       | no end\n"
	if text.String() != want {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
}

func TestALineWithoutEndIsCut(t *testing.T) {
	var text strings.Builder
	s := newConsole(&text, false).stream("api")
	for range 3 * maxLine / 100 {
		s.Write([]byte(strings.Repeat("x", 100)))
	}
	if len(s.rest) > maxLine+100 {
		t.Errorf("%d bytes kept", len(s.rest))
	}
	if n := strings.Count(text.String(), "\n"); n != 2 {
		t.Errorf("%d lines", n)
	}
}

func TestColoursAreForTerminals(t *testing.T) {
	var text strings.Builder
	c := newConsole(&text, false)
	if c.color {
		t.Error("colours although the output is not a terminal")
	}
	c.color = true
	c.stream("api").Write([]byte("one\n"))
	if !strings.HasPrefix(text.String(), "\x1b[31mapi") {
		t.Errorf("%q", text.String())
	}
}
