package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/gin-gonic/gin"

	"shopstream/services/internal/httpx"
	"shopstream/services/internal/kafkax"
)

// writeTimeout is how long a client may take nothing before its tail is cut:
// a place among the streams is not for one who has stopped reading.
const writeTimeout = 30 * time.Second

const lastEventID = "Last-Event-ID"

// stream answers GET /messages/stream: the messages to come, as server-sent
// events. An event's id says where every partition stands after it, so that a
// client that connects again goes on where it was, without a gap and without
// a repetition.
func (s *server) stream(c *gin.Context) {
	id := strings.Join(c.Request.Header.Values(lastEventID), ",") // no cursor where there are two
	sel, ok := s.parseSelection(c, checkCursor(lastEventID, id))
	if !ok {
		return
	}
	resume, ok := sel.cursorOf(c, lastEventID, id)
	if !ok {
		return
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
	ctx, cancel := context.WithCancel(c.Request.Context())
	var running sync.WaitGroup
	running.Go(func() { t.reader.Run(ctx) })
	defer running.Wait()
	defer cancel()
	if err := t.follow(c, s); err != nil && c.Request.Context().Err() == nil {
		s.log.Info("live tail ended", "topic", sel.topic, "error", err)
	}
}

// streamBuffer is how much is fetched ahead for one client, in bytes: a client
// that reads slowly makes its stream wait, not grow. All streams together hold
// what all readers of /messages may hold, and as much again in answers of
// brokers that are under way.
func (c config) streamBuffer() int {
	return int(min(2<<20, max(1, c.ReadBytesLimit*int64(c.ReadConcurrency)/maxStreams)))
}

// liveTail is one client's stream.
type liveTail struct {
	selection
	reader   *kafkax.Reader
	at       cursor // an end in it is the offset that comes next
	places   *memory
	out      bytes.Buffer
	response http.ResponseWriter
	control  *http.ResponseController
}

// openTail finds where a stream starts.
func (s *server) openTail(ctx context.Context, sel selection, resume *cursor) (*liveTail, error) {
	if err := s.kafkaUp(); err != nil {
		return nil, err
	}
	asking, err := s.acquire(ctx, sel.isolation)
	if err != nil {
		return nil, err
	}
	defer s.readers.release(asking)
	logs, err := asking.locate(ctx, sel)
	if err != nil {
		return nil, err
	}
	at, assigned, err := s.streamStart(asking.log.id, sel, resume, logs)
	if err != nil {
		return nil, err
	}
	reader, err := kafkax.NewReader(s.cfg.Kafka, kafkax.ReaderConfig{
		Topic:     sel.topic,
		Committed: sel.isolation == kafka.IsolationLevelReadCommitted,
		Limits:    kafkax.Limits{Record: int(min(s.cfg.ReadBytesLimit, math.MaxInt32)), Batch: inflated},
		Buffer:    s.cfg.streamBuffer(),
	}, "api", s.log, nil)
	if err != nil {
		return nil, err
	}
	reader.Assign(assigned)
	return &liveTail{selection: sel, reader: reader, at: at, places: s.places}, nil
}

// streamStart returns where a stream starts: at the end, or where its client
// has come to. The Reader checks the latter, and says so where that log is
// another, or lacks what comes next.
func (s *server) streamStart(log [16]byte, sel selection, resume *cursor, logs []located) (cursor, map[int32]kafkax.Position, error) {
	at := newCursor(sel, log)
	var seen []position
	if resume != nil {
		at.log, seen = resume.log, resume.positions
		if resume.form == held {
			var ok bool
			if seen, ok = s.places.get(resume.key, resume.step); !ok {
				return at, nil, errForgotten
			}
		}
	}
	assigned := map[int32]kafkax.Position{}
	for _, l := range logs {
		from := kafkax.Position{Offset: l.end, Log: kafkax.LogID(log), LeaderEpoch: -1}
		if resume != nil {
			if p := find(seen, l.partition); p != nil {
				from.Offset, from.Log = p.end, kafkax.LogID(at.log)
			} else {
				from.Offset = l.low // added since: all of it is new
			}
		}
		at.positions = append(at.positions, position{partition: l.partition, end: from.Offset})
		assigned[l.partition] = from
	}
	return at, assigned, nil
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
	fmt.Fprintf(&t.out, "retry: 2000\nid: %s\n\n", t.id())
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
			// A broker that is unreachable comes back; a topic doesn't.
			if err := t.reader.Probe(c.Request.Context()); err != nil {
				if err = brokerError(c.Request.Context(), "reading "+t.topic, err); !errors.Is(err, errUnavailable) {
					return err
				}
			}
			t.out.WriteString(": still here\n\n")
			if err := t.flush(); err != nil {
				return err
			}
		default:
		}

		if e := t.reader.Poll(100 * time.Millisecond); e != nil {
			if err := t.send(e, s); err != nil {
				return err
			}
		}
	}
}

// send sends what was polled and what is at hand with it. While the client
// doesn't take it nothing more is polled, and what the reader fetches ahead is
// bounded.
func (t *liveTail) send(polled any, s *server) error {
	for polled != nil {
		var err error
		switch e := polled.(type) {
		case *kafka.Message:
			r := newRecord(e)
			t.move(r.partition, r.offset+1)
			s.metrics.consumed.Inc()
			err = t.event("message", newMessage(t.topic, &r))
		case *kafkax.Unreadable:
			t.move(e.Partition, e.Last+1)
			err = t.event("unreadable", unreadable{e.Partition, offsetText(e.First), offsetText(e.Last), e.Cause})
		case *kafkax.LogChange:
			t.change(e)
			err = t.event("reset", reset{e.Partition, offsetText(e.From.Offset), offsetText(e.To.Offset), e.Kind})
		}
		if err != nil {
			return err
		}
		if t.out.Len() > 64<<10 {
			break
		}
		polled = t.reader.Poll(0)
	}
	return t.flush()
}

// unreadable is the data of an event in place of records that can't be read.
type unreadable struct {
	Partition int32  `json:"partition"`
	First     string `json:"first"` // offsets, both of them unreadable
	Last      string `json:"last"`
	Cause     string `json:"cause"` // one of kafkax's causes
}

// reset is the data of an event that says that a partition goes on at another
// offset than the next.
type reset struct {
	Partition int32  `json:"partition"`
	From      string `json:"from"`  // the offset that would have come
	To        string `json:"to"`    // the one that comes
	Cause     string `json:"cause"` // one of kafkax's kinds of change
}

func offsetText(offset int64) string { return strconv.FormatInt(offset, 10) }

// move sets the offset that comes next of a partition.
func (t *liveTail) move(partition int32, next int64) {
	if p := find(t.at.positions, partition); p != nil {
		p.end = next
	}
	if t.at.form == held {
		t.at.step = t.places.step(t.at.key, step{partition, next})
	}
}

// change goes on elsewhere in a log, or in another, which is another for all
// partitions at once.
func (t *liveTail) change(c *kafkax.LogChange) {
	if log, ok := kafkax.ParseLogID(c.To.Log); ok && log != t.at.log {
		t.at.log = log
		for i := range t.at.positions {
			t.at.positions[i].end = 0
		}
		t.at.form = inline
	}
	t.move(c.Partition, max(c.To.Offset, 0))
}

// id is the place after all that was sent. Where partitions are too many to say
// it, this process holds the place, and the id names it.
func (t *liveTail) id() string {
	if t.at.form == inline {
		text, fits := t.at.encode()
		if fits {
			return text
		}
		t.at.form = held
	}
	if t.at.step == 0 { // new, or given up by memory for others
		t.at.key = t.places.begin(t.at.positions)
	}
	text, _ := t.at.encode()
	return text
}

func (t *liveTail) event(name string, content any) error {
	data, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("encoding an event: %w", err)
	}
	fmt.Fprintf(&t.out, "id: %s\nevent: %s\ndata: %s\n\n", t.id(), name, data)
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
