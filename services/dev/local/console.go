package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
)

// console writes the output of all processes to one stream, line by line, each with the
// process's name in front.
type console struct {
	mu     sync.Mutex
	w      io.Writer
	color  bool
	width  int
	colors int // used so far
}

func newConsole(w io.Writer, noColor bool) *console {
	return &console{w: w, color: !noColor && isTerminal(w), width: len("management-api")}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// stream returns a writer for one process, with its own colour.
func (c *console) stream(name string) *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	prefix := fmt.Sprintf("%-*s | ", c.width, name)
	if c.color {
		prefix = fmt.Sprintf("\x1b[%dm%s\x1b[0m", 31+c.colors%6, prefix)
		c.colors++
	}
	return &stream{console: c, prefix: prefix}
}

// print writes text as it is.
func (c *console) print(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = io.WriteString(c.w, text)
}

// stream is the output of one process. Safe for concurrent use.
type stream struct {
	console *console
	prefix  string

	mu   sync.Mutex
	rest []byte // a line that has not ended yet
}

// A longer line is split, so that a process that never ends its line takes no more
// memory.
const maxLine = 64 << 10

// Write implements io.Writer. It never fails: a closed console must not stop the services.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest = append(s.rest, p...)
	for {
		end := bytes.IndexByte(s.rest, '\n')
		switch {
		case end >= 0:
			s.line(s.rest[:end])
			s.rest = s.rest[end+1:]
		case len(s.rest) >= maxLine:
			s.line(s.rest)
			s.rest = nil
		default:
			return len(p), nil
		}
	}
}

// flush writes a last line without a newline.
func (s *stream) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rest) > 0 {
		s.line(s.rest)
		s.rest = nil
	}
}

func (s *stream) line(text []byte) {
	s.console.print(s.prefix + string(text) + "\n")
}
