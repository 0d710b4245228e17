package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/testkit/brokertest"
)

// seenState is the answer about an event.
type seenState struct {
	State, Reason, TraceID string
	Way                    []seenStep
}

type seenStep struct {
	Step       string
	At         time.Time
	LagSeconds *float64
	Topic      string
	TopicID    string
	Partition  *int32
	Offset     *int64
}

// way asks for the way of an event, until its state is as wanted.
func (s *service) way(t *testing.T, id, state string) seenState {
	t.Helper()
	var got seenState
	eventually(t, id+" is "+state, func() bool {
		response, body := s.get(t, "/api/v1/purchases/by-event/"+id)
		got = seenState{}
		return response.StatusCode == http.StatusOK && json.Unmarshal(body, &got) == nil && got.State == state
	})
	return got
}

// drawn shows steps as a text: names and places.
func drawn(way []seenStep) string {
	var steps []string
	for _, s := range way {
		text := s.Step
		if s.Partition != nil && s.Offset != nil {
			text += fmt.Sprintf(" %s/%d@%d", s.Topic, *s.Partition, *s.Offset)
		}
		steps = append(steps, text)
	}
	return strings.Join(steps, ", ")
}

func TestWayOfAPurchase(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	s := start(t, p.environ())
	events, records := purchases(t, p.topic, 2)
	trace, _, header := traceparent(0)
	records[1].Headers = []kgo.RecordHeader{header}
	p.kafka.Produce(t, records...)
	topicID := p.logID(t)
	for n, e := range events {
		got := s.way(t, e.EventID, "stored")
		r := p.recordOf(t, e.EventID)
		if want := fmt.Sprintf("accepted %s/%d@%d, stored", p.topic, r.Partition, r.Offset); drawn(got.Way) != want {
			t.Fatalf("the way is %s, want %s", drawn(got.Way), want)
		}
		accepted, stored := got.Way[0], got.Way[1]
		if !accepted.At.Equal(e.Timestamp.Truncate(time.Microsecond)) || accepted.TopicID != topicID {
			t.Errorf("accepted at %s in log %s, want %s and %s", accepted.At, accepted.TopicID, e.Timestamp, topicID)
		}
		if lag := stored.At.Sub(accepted.At).Seconds(); stored.LagSeconds == nil || *stored.LagSeconds != lag || lag <= 0 || stored.At.After(time.Now()) {
			t.Errorf("stored at %s after %v s", stored.At, stored.LagSeconds)
		}
		if want := map[int]string{1: trace}[n]; got.TraceID != want {
			t.Errorf("its trace is %q, want %q", got.TraceID, want)
		}
	}
}

// A refused purchase has its place, that of its letter and the reason; once it is put
// back, these stay in its way.
func TestWayOfADeadLetter(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.oneDLQ(t)
	s := start(t, p.environ())
	events, records := purchases(t, p.topic, 1)
	whole, id := string(records[0].Value), events[0].EventID
	records[0].Value = []byte(strings.Replace(whole, `"price"`, `"cost"`, 1))
	p.kafka.Produce(t, records...)
	got := s.way(t, id, "dead-lettered")
	refused := fmt.Sprintf("accepted %s/%d@%d, dead-lettered %s/0@0", p.topic, records[0].Partition, records[0].Offset, p.dlq)
	if drawn(got.Way) != refused || got.Reason != "invalid" || got.Way[1].LagSeconds == nil || got.Way[0].TopicID == "" {
		t.Fatalf("refused: %+v", got)
	}

	if _, _, err := p.replay(t, "-mended", writeLines(t, line{Value: &whole})); err != nil {
		t.Fatal(err)
	}
	got = s.way(t, id, "stored")
	want := fmt.Sprintf("%s, replayed %s/%d@%d, stored", refused, p.topic, records[0].Partition, records[0].Offset+1)
	if drawn(got.Way) != want || got.Way[3].At.IsZero() || got.Way[3].LagSeconds != nil {
		t.Errorf("the way is %s, want %s", drawn(got.Way), want)
	}
}

// TestWayOfARecordOfAnyTime has timestamps that a producer can set by mistake: the
// letter and what is put back are of now, and the way leaves out what isn't a time in
// RFC 3339.
func TestWayOfARecordOfAnyTime(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]time.Time{
		"the beginning of time": time.UnixMilli(1), "microseconds": time.UnixMilli(1767323045678901), "the end of time": time.UnixMilli(math.MaxInt64),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t)
			if p.kafka.Embedded == nil && at.After(time.Now()) {
				t.Skip("a real broker takes no record of the future")
			}
			p.oneDLQ(t)
			s := start(t, p.environ())
			events, records := purchases(t, p.topic, 1)
			whole, id := string(records[0].Value), events[0].EventID
			refused := []byte(strings.Replace(whole, `"price"`, `"cost"`, 1))
			p.kafka.ProduceRaw(t, p.topic, 0, brokertest.Batch{Records: []kmsg.Record{{Key: records[0].Key, Value: refused}}, At: at.UnixMilli()}.Bytes(t))
			got := s.way(t, id, "dead-lettered")
			if shown := !got.Way[0].At.IsZero(); shown != (at.Year() < 9999) || shown && !got.Way[0].At.Equal(at) {
				t.Errorf("accepted at %v, want %v", got.Way[0].At, at)
			}

			// Put back as it is and refused again, and then put back with a price.
			if _, _, err := p.replay(t, "-all"); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it is refused again", func() bool { return len(p.kafka.Read(t, p.dlq)) == 2 })
			if _, _, err := p.replay(t, "-mended", writeLines(t, line{Offset: 1, Value: &whole})); err != nil {
				t.Fatal(err)
			}
			s.way(t, id, "stored")
			back := slices.DeleteFunc(p.kafka.Read(t, p.topic), func(r *kgo.Record) bool { return r.Partition == 0 && r.Offset == 0 })
			for _, r := range append(p.kafka.Read(t, p.dlq), back...) {
				if want := strconv.FormatInt(at.UnixMilli(), 10); time.Since(r.Timestamp).Abs() > time.Hour || header(r, "dlq-timestamp") != want {
					t.Errorf("a record of %v says that it was of %s, want %s", r.Timestamp, header(r, "dlq-timestamp"), want)
				}
			}
		})
	}
}

// recordOf returns the record of an event.
func (p *platform) recordOf(t *testing.T, id string) *kgo.Record {
	t.Helper()
	for _, r := range p.kafka.Read(t, p.topic) {
		if strings.Contains(string(r.Value), id) {
			return r
		}
	}
	t.Fatalf("no record of %s", id)
	return nil
}
