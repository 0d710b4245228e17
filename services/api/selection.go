package main

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/gin-gonic/gin"

	"shopstream/services/internal/httpx"
)

// topicName is Kafka's rule for topic names.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

const topicRule = "must be at most 249 letters, digits, dots, underscores or hyphens"

// isInternal reports whether a topic is internal, by the naming convention of Kafka's
// internal topics.
func isInternal(topic string) bool { return strings.HasPrefix(topic, "__") }

// selection is the topic and partitions that a request asks for.
type selection struct {
	topic     string
	partition int32 // -1: all
	isolation kafka.IsolationLevel
}

// parseSelection reads a selection from the query. If it returns false, it has
// answered the request.
func (s *server) parseSelection(c *gin.Context, more ...*httpx.FieldError) (selection, bool) {
	sel := selection{topic: c.Query("topic"), partition: -1, isolation: kafka.IsolationLevelReadCommitted}
	if sel.topic == "" {
		sel.topic = s.cfg.DefaultTopic
	}
	faults := more
	if !topicName.MatchString(sel.topic) {
		faults = append(faults, &httpx.FieldError{Field: "topic", Detail: topicRule})
	}
	partition, fault := httpx.QueryInt(c, "partition", -1, 0, 1<<31-1)
	sel.partition = int32(partition)
	faults = append(faults, fault)
	switch level := c.DefaultQuery("isolation", "read_committed"); level {
	case "read_committed":
	case "read_uncommitted":
		sel.isolation = kafka.IsolationLevelReadUncommitted
	default:
		faults = append(faults, &httpx.FieldError{Field: "isolation", Detail: fmt.Sprintf("must be read_committed or read_uncommitted, not %q", level)})
	}

	var list []httpx.FieldError
	for _, f := range faults {
		if f != nil {
			list = append(list, *f)
		}
	}
	if len(list) > 0 {
		httpx.Abort(c, http.StatusBadRequest, "invalid query", list...)
		return sel, false
	}
	return sel, s.shows(c, sel.topic)
}

// shows reports whether a topic may be shown. If it returns false, it has answered
// the request.
func (s *server) shows(c *gin.Context, topic string) bool {
	if isInternal(topic) && !s.cfg.AllowInternal {
		httpx.Abort(c, http.StatusForbidden, fmt.Sprintf("topic %q is internal to Kafka; ALLOW_INTERNAL_TOPICS=true lets this service read such topics", topic))
		return false
	}
	return true
}

// cursorText matches every cursor, including those of later versions.
var cursorText = regexp.MustCompile(`^[A-Za-z0-9_-]*$`)

func checkCursor(field, text string) *httpx.FieldError {
	if cursorText.MatchString(text) {
		return nil
	}
	return &httpx.FieldError{Field: field, Detail: "must be letters, digits, underscores and hyphens: pass it as this service returned it"}
}

// cursorOf returns the parsed cursor, or nil if text is empty. If it returns false,
// it has answered the request: the cursor doesn't belong to the selection.
func (sel selection) cursorOf(c *gin.Context, field, text string) (*cursor, bool) {
	if text == "" {
		return nil, true
	}
	parsed, err := parseCursor(text)
	if err == nil && parsed.belongs(sel) {
		return parsed, true
	}
	detail := "was not returned by this service for this topic and partition"
	if errors.Is(err, errOldCursor) {
		detail = "was returned by another release of this service: request without it to start over"
	}
	httpx.Abort(c, http.StatusNotFound, "no such cursor", httpx.FieldError{Field: field, Detail: detail})
	return nil, false
}
