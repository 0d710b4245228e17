package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// topic is one declared topic. Its config is complete: an override that isn't
// declared is reset to the broker's default.
type topic struct {
	name        string
	partitions  int
	replication int
	config      map[string]string
}

// parseTopics reads a declaration strictly: misspelt fields are errors. The error has
// every fault of every topic.
func parseTopics(text string) ([]topic, error) {
	var entries []json.RawMessage
	if err := json.Unmarshal([]byte(text), &entries); err != nil {
		return nil, fmt.Errorf("is not a JSON list of topics: %w", err)
	}
	if len(entries) == 0 {
		return nil, errors.New("declares no topic")
	}
	var (
		topics []topic
		faults []error
	)
	seen := map[string]string{}
	for i, entry := range entries {
		t, errs := parseTopic(entry)
		where := fmt.Sprintf("topic %q", t.name)
		if t.name == "" {
			where = fmt.Sprintf("entry %d", i+1)
		} else {
			// Kafka refuses such names: they collide in its metrics.
			plain := strings.ReplaceAll(t.name, ".", "_")
			switch other, taken := seen[plain]; {
			case taken && other == t.name:
				errs = append(errs, errors.New("is declared twice"))
			case taken:
				errs = append(errs, fmt.Errorf("collides with %q: names must differ in more than '.' and '_'", other))
			}
			seen[plain] = t.name
		}
		for _, err := range errs {
			faults = append(faults, fmt.Errorf("%s: %w", where, err))
		}
		topics = append(topics, t)
	}
	return topics, errors.Join(faults...)
}

var legalName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func parseTopic(entry json.RawMessage) (topic, []error) {
	t := topic{config: map[string]string{}}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	members, err := parseObject(entry)
	if err != nil {
		return t, []error{err}
	}
	given := map[string]bool{}
	for _, m := range members {
		if given[m.name] {
			fault("%s is given twice", m.name)
		}
		given[m.name] = true
		switch m.name {
		case "name":
			if json.Unmarshal(m.value, &t.name) != nil {
				fault("name must be a string")
			} else if !legalName.MatchString(t.name) || t.name == "." || t.name == ".." {
				fault("name %q must have 1 to 249 of the characters a-z A-Z 0-9 . _ -", t.name)
			}
		case "partitions":
			t.partitions = parseCount(m, fault)
		case "replicationFactor":
			t.replication = parseCount(m, fault)
		case "config":
			parseConfig(m.value, t.config, fault)
		default:
			fault("unknown field %q (known: name, partitions, replicationFactor, config)", m.name)
		}
	}
	for _, required := range []string{"name", "partitions", "replicationFactor"} {
		if !given[required] {
			fault("%s is required", required)
		}
	}
	return t, faults
}

// maxCount keeps a typing error from overloading a cluster.
const maxCount = 10_000

func parseCount(m member, fault func(string, ...any)) int {
	var n int
	if json.Unmarshal(m.value, &n) != nil || n < 1 || n > maxCount {
		fault("%s must be a whole number from 1 to %d, not %s", m.name, maxCount, m.value)
	}
	return n
}

func parseConfig(value json.RawMessage, config map[string]string, fault func(string, ...any)) {
	if string(value) == "null" {
		return
	}
	members, err := parseObject(value)
	if err != nil {
		fault("config %w", err)
		return
	}
	for _, m := range members {
		if _, twice := config[m.name]; twice {
			fault("config %q is given twice", m.name)
		}
		var text string
		// encoding/json would silently accept null as a string.
		if string(m.value) == "null" || json.Unmarshal(m.value, &text) != nil {
			fault("config %q must be a string in quotes, not %s", m.name, m.value)
		}
		config[m.name] = text
	}
}

type member struct {
	name  string
	value json.RawMessage
}

// parseObject reads an object's members strictly. encoding/json would use the last
// of two equal names, and accept "Name" for "name".
func parseObject(raw json.RawMessage) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("must be a JSON object, not %s", raw)
	}
	var members []member
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("is not a JSON object: %w", err)
		}
		m := member{name: fmt.Sprint(name)}
		if err := d.Decode(&m.value); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("is not a JSON object: %w", err)
		}
		members = append(members, m)
	}
	return members, nil
}
