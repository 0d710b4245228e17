package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/gin-gonic/gin"

	"shopstream/services/internal/httpx"
	"shopstream/services/internal/kafkax"
)

// writeTimeout is how long a client may take nothing before its tail is cut:
// a place among the streams is not for one who has stopped reading.
const writeTimeout = 30 * time.Second

// stream answers GET /messages/stream: the messages to come, as server-sent
// events. An event's id says where every partition stands after it, so that a
// client that connects again goes on where it was, without a gap and without
// a repetition.
func (s *server) stream(c *gin.Context) {
	sel, ok := s.parseSelection(c)
	if !ok {
		return
	}
	var resume *cursor
	if id := c.GetHeader("Last-Event-ID"); id != "" {
		parsed, err := parseCursor(id)
		if err != nil || parsed.topic != sel.topic || parsed.partition != sel.partition {
			httpx.Abort(c, http.StatusBadRequest, "Last-Event-ID is not the id of an event of this stream")
			return
		}
		resume = &parsed
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		httpx.AbortRetry(c, http.StatusServiceUnavailable, 15*time.Second, fmt.Sprintf("%d live tails are open, which is the most", maxStreams))
		return
	}
	s.metrics.streams.Inc()
	defer s.metrics.streams.Dec()

	t, err := s.openTail(c.Request.Context(), sel, resume)
	if err != nil {
		s.fail(c, err)
		return
	}
	defer func() {
		if err := t.client.Close(); err != nil {
			s.log.Warn("closing a live tail failed", "error", err)
		}
	}()
	if err := t.follow(c, s); err != nil && c.Request.Context().Err() == nil {
		s.log.Info("live tail ended", "topic", sel.topic, "error", err)
	}
}

// liveTail is one client's stream.
type liveTail struct {
	selection
	client   client
	at       cursor // an end in it is the offset that comes next
	out      bytes.Buffer
	response http.ResponseWriter
	control  *http.ResponseController
}

func (s *server) openTail(ctx context.Context, sel selection, resume *cursor) (*liveTail, error) {
	if err := s.kafkaUp(); err != nil {
		return nil, err
	}
	consumer, err := s.newTail(sel.isolation)
	if err != nil {
		return nil, err
	}
	t := &liveTail{selection: sel, client: consumer, at: cursor{topic: sel.topic, partition: sel.partition}}
	if err := t.assign(ctx, resume); err != nil {
		return nil, errors.Join(err, consumer.Close())
	}
	return t, nil
}

func (t *liveTail) assign(ctx context.Context, resume *cursor) error {
	logs, err := locate(ctx, t.client, t.selection)
	if err != nil {
		return err
	}
	assignment := make([]kafka.TopicPartition, len(logs))
	for i, l := range logs {
		from := l.end
		if resume != nil {
			// A partition that the client has not seen yet was added since:
			// all of it is new.
			from = l.low
			for _, p := range resume.positions {
				if p.partition == l.partition {
					from = min(max(p.end, l.low), l.end)
				}
			}
		}
		t.at.positions = append(t.at.positions, position{partition: l.partition, end: from})
		assignment[i] = kafka.TopicPartition{Topic: &t.topic, Partition: l.partition, Offset: kafka.Offset(from)}
	}
	if err := t.client.Assign(assignment); err != nil {
		return fmt.Errorf("assigning %s: %w", t.topic, err)
	}
	return nil
}

// follow sends messages until the client goes, the service drains or the topic
// is gone.
func (t *liveTail) follow(c *gin.Context, s *server) error {
	t.response, t.control = c.Writer, http.NewResponseController(c.Writer)
	h := c.Writer.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // an nginx in between must not collect
	c.Writer.WriteHeader(http.StatusOK)

	// An id without data is no event, but a client that connects again before
	// the first one tells it.
	fmt.Fprintf(&t.out, "retry: 2000\nid: %s\n\n", t.at)
	if err := t.flush(); err != nil {
		return err
	}
	beat := time.NewTicker(s.heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-c.Request.Context().Done():
			return nil
		case <-s.health.Draining():
			return nil
		case <-beat.C:
			t.out.WriteString(": still here\n\n")
			if err := t.flush(); err != nil {
				return err
			}
		default:
		}

		switch e := t.client.Poll(100).(type) {
		case nil:
			continue
		case *kafka.Message:
			if err := t.send(e, s); err != nil {
				return err
			}
		case kafka.Error:
			kafkax.LogError(s.log, e)
			// A broker that goes away comes back; a topic doesn't.
			if err := classify(e); e.IsFatal() || ends(e) && !errors.Is(err, errUnavailable) {
				return err
			}
		}
	}
}

// send sends a message and those that are at hand with it. While the client
// doesn't take them nothing more is polled, and what the consumer fetches
// ahead is bounded.
func (t *liveTail) send(m *kafka.Message, s *server) error {
	for sent := 0; ; sent++ {
		if m.TopicPartition.Error != nil {
			return classify(m.TopicPartition.Error)
		}
		if err := t.event(m); err != nil {
			return err
		}
		s.metrics.consumed.Inc()
		if t.out.Len() > 64<<10 {
			break
		}
		more, ok := t.client.Poll(0).(*kafka.Message)
		if !ok {
			break // an end of partition says nothing here; an error comes again
		}
		m = more
	}
	return t.flush()
}

func (t *liveTail) event(m *kafka.Message) error {
	r := newRecord(m)
	for i := range t.at.positions {
		if p := &t.at.positions[i]; p.partition == r.partition {
			p.end = r.offset + 1
		}
	}
	data, err := json.Marshal(newMessage(t.topic, &r))
	if err != nil {
		return fmt.Errorf("encoding a message: %w", err)
	}
	fmt.Fprintf(&t.out, "id: %s\nevent: message\ndata: %s\n\n", t.at, data)
	return nil
}

func (t *liveTail) flush() error {
	_ = t.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := t.response.Write(t.out.Bytes()); err != nil {
		return fmt.Errorf("writing to the client: %w", err)
	}
	t.out.Reset()
	if err := t.control.Flush(); err != nil {
		return fmt.Errorf("writing to the client: %w", err)
	}
	return nil
}
