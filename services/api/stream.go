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

// writeTimeout is how long a client may take nothing before its stream is closed: the
// number of streams is limited, and one that isn't read must not use up a place.
const writeTimeout = 30 * time.Second

// holdTime is how long a stream may wait for its client before others may read a large batch
// that this one has not finished, which then is fetched again.
const holdTime = 2 * time.Second

const lastEventID = "Last-Event-ID"

// stream answers GET /messages/stream: new messages as server-sent events. An event's
// id contains the position in every partition after it, so that a client that
// reconnects continues there, without gaps and without repeats.
func (s *server) stream(c *gin.Context) {
	id := strings.Join(c.Request.Header.Values(lastEventID), ",") // two headers never make a valid cursor
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
		httpx.AbortRetry(c, http.StatusServiceUnavailable, 15*time.Second, fmt.Sprintf("%d live tails are open, which is the limit; try again", maxStreams))
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
	defer t.reader.Release()
	if err := t.follow(c, s); err != nil && c.Request.Context().Err() == nil {
		s.log.Info("live tail ended", "topic", sel.topic, "error", err)
	}
}

// streamBuffer returns how many bytes are fetched ahead for one client: a slow client
// makes its stream wait, and takes no more memory. All streams together hold as much
// as all readers of /messages, and as much again in responses in flight.
func (c config) streamBuffer() int {
	return int(min(2<<20, max(1, c.ReadBytesLimit*int64(c.ReadConcurrency)/maxStreams)))
}

// liveTail is one client's stream.
type liveTail struct {
	selection
	reader   *kafkax.Reader
	at       cursor // its ends are the next offsets
	places   *memory
	out      bytes.Buffer
	response http.ResponseWriter
	control  *http.ResponseController
	waited   time.Duration // for its client, since it last let others read large batches
}

// openTail determines where a stream starts.
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
		Limits:    kafkax.Limits{Record: int(min(s.cfg.ReadBytesLimit, math.MaxInt32)), Batch: inflated, Blocks: s.blocks},
		Buffer:    s.cfg.streamBuffer(),
		Turn:      s.large,
	}, "api", s.log, nil)
	if err != nil {
		return nil, err
	}
	reader.Assign(assigned)
	return &liveTail{selection: sel, reader: reader, at: at, places: s.places}, nil
}

// streamStart returns where a stream starts: at the end, or where its client stopped.
// The Reader checks the latter, and reports a change if that log was replaced or no
// longer has the next offset.
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
				from.Offset = l.low // a partition added since: all of it is new
			}
		}
		at.positions = append(at.positions, position{partition: l.partition, end: from.Offset})
		assigned[l.partition] = from
	}
	return at, assigned, nil
}

// follow sends messages until the client disconnects, the service drains or the topic
// is deleted.
func (t *liveTail) follow(c *gin.Context, s *server) error {
	t.response, t.control = c.Writer, http.NewResponseController(c.Writer)
	h := c.Writer.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // keeps an nginx proxy from buffering
	c.Writer.WriteHeader(http.StatusOK)

	// An id without data is no event, but a client that reconnects before the first
	// event sends it.
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
			// An unreachable broker comes back; a deleted topic doesn't.
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

		more, err := t.send(c.Request.Context(), s)
		if err != nil {
			return err
		}
		if !more {
			t.reader.Wait(100 * time.Millisecond)
		}
	}
}

// send sends what is ready, and reports whether there may be more. While the client
// takes nothing, nothing more is polled, and what the reader fetches ahead is limited.
func (t *liveTail) send(ctx context.Context, s *server) (more bool, err error) {
	more, release, err := t.gather(ctx, s)
	if err != nil || t.out.Len() == 0 {
		return more, err
	}
	defer release()
	return more, t.flush()
}

// gather polls what is ready and writes it to out. Few streams do that at once, since a
// record takes several times its size meanwhile. A long text then needs room beside the
// responses that other clients are receiving, until release is called.
func (t *liveTail) gather(ctx context.Context, s *server) (more bool, release func(), err error) {
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	case <-ctx.Done():
		return false, nil, ctx.Err()
	}
	for t.out.Len() <= longText {
		e := t.reader.Poll(0)
		if e == nil {
			break
		}
		if err := t.write(e, s); err != nil {
			return false, nil, err
		}
		more = true
	}
	if t.out.Len() <= 4*longText {
		return more, func() {}, nil
	}
	bounded, cancel := context.WithTimeout(ctx, s.cfg.ReadTimeout)
	defer cancel()
	release, err = s.room(bounded, int64(t.out.Len()))
	return more, release, err
}

// longText is how many bytes of events are gathered before they are sent.
const longText = 64 << 10

// write writes the event of what was polled to out.
func (t *liveTail) write(polled any, s *server) error {
	switch e := polled.(type) {
	case *kafka.Message:
		r := newRecord(e)
		t.move(r.partition, r.offset+1)
		if r.becomes() > s.cfg.ReadBytesLimit {
			return t.event("unreadable", unreadable{r.partition, offsetText(r.offset), offsetText(r.offset), kafkax.CauseSize})
		}
		s.metrics.consumed.Inc()
		return t.event("message", newMessage(t.topic, &r))
	case *kafkax.Unreadable:
		t.move(e.Partition, e.Last+1)
		return t.event("unreadable", unreadable{e.Partition, offsetText(e.First), offsetText(e.Last), e.Cause})
	case *kafkax.LogChange:
		t.change(e)
		return t.event("reset", reset{e.Partition, offsetText(e.From.Offset), offsetText(e.To.Offset), e.Kind})
	}
	return nil
}

// unreadable is the data of an event about records that can't be read.
type unreadable struct {
	Partition int32  `json:"partition"`
	First     string `json:"first"` // offset; First to Last are unreadable
	Last      string `json:"last"`
	Cause     string `json:"cause"` // one of kafkax's Cause constants
}

// reset is the data of an event about a partition that continues at an unexpected
// offset.
type reset struct {
	Partition int32  `json:"partition"`
	From      string `json:"from"`  // the expected offset
	To        string `json:"to"`    // the offset that comes instead
	Cause     string `json:"cause"` // one of kafkax's kinds of LogChange
}

func offsetText(offset int64) string { return strconv.FormatInt(offset, 10) }

// move sets a partition's next offset.
func (t *liveTail) move(partition int32, next int64) {
	if p := find(t.at.positions, partition); p != nil {
		p.end = next
	}
	if t.at.form == held {
		t.at.step = t.places.step(t.at.key, step{partition, next})
	}
}

// change continues at another offset of a log, or in another log. A new log replaces
// those of all partitions at once.
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

// id returns the position after all events so far. If there are too many partitions
// for an id, this process holds the position, and the id names it.
func (t *liveTail) id() string {
	if t.at.form == inline {
		text, fits := t.at.encode()
		if fits {
			return text
		}
		t.at.form = held
	}
	if t.at.step == 0 { // new, or dropped from memory
		t.at.key = t.places.begin(t.at.positions)
	}
	text, _ := t.at.encode()
	return text
}

func (t *liveTail) event(name string, content any) error {
	fmt.Fprintf(&t.out, "id: %s\nevent: %s\ndata: ", t.id(), name)
	encoder := json.NewEncoder(&t.out)
	encoder.SetEscapeHTML(false) // leaves < and > as short as they are
	if err := encoder.Encode(content); err != nil {
		return fmt.Errorf("encoding an event: %w", err)
	}
	t.out.WriteByte('\n') // after the encoder's own
	return nil
}

// lend lets other streams read large batches while this one waits for its client, until the
// returned function is called. A client that is slow must not hold them up.
func (t *liveTail) lend() (end func()) {
	start, yielded := time.Now(), make(chan struct{})
	timer := time.AfterFunc(holdTime-t.waited, func() {
		defer close(yielded)
		t.reader.Yield()
	})
	return func() {
		t.waited += time.Since(start)
		if !timer.Stop() {
			<-yielded
			t.waited = 0
		}
	}
}

func (t *liveTail) flush() error {
	defer t.lend()()
	_ = t.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := t.response.Write(t.out.Bytes()); err != nil {
		return fmt.Errorf("writing to the client: %w", err)
	}
	if t.out.Reset(); t.out.Cap() > 4*longText {
		t.out = bytes.Buffer{}
	}
	if err := t.control.Flush(); err != nil {
		return fmt.Errorf("writing to the client: %w", err)
	}
	return nil
}
