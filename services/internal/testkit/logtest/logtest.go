// Package logtest collects a program's log, and finds entries in it.
package logtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

// Lines is the output of a program that logs in JSON, a line per entry. Safe for
// concurrent use.
type Lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns everything that was written.
func (l *Lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Find returns the first entry with that message, or nil.
func (l *Lines) Find(message string) map[string]any {
	for line := range strings.Lines(l.String()) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) == nil && entry["msg"] == message {
			return entry
		}
	}
	return nil
}

// Value returns an attribute of the first entry with that message, or "".
func (l *Lines) Value(message, key string) string {
	if entry := l.Find(message); entry != nil {
		return fmt.Sprint(entry[key])
	}
	return ""
}

// Without returns the lines that are not of this level, such as DEBUG.
func (l *Lines) Without(level string) string {
	var kept strings.Builder
	for line := range strings.Lines(l.String()) {
		if !strings.Contains(line, `"level":"`+level+`"`) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
