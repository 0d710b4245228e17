package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"shopstream/services/internal/httpx"
)

// places are where browsers find what belongs to a purchase elsewhere. Both may be
// empty.
type places struct {
	Viewer httpx.Link `env:"VIEWER_URL" doc:"Address of the topic viewer for browsers, such as http://localhost:3000/viewer, or /viewer on the same host. The way of a purchase links to its record there; if empty, it only names the position."`
	Trace  httpx.Link `env:"TRACE_URL" doc:"Address of a trace for browsers, with {id} for its id, such as http://localhost:16686/trace/{id}. If empty, only the id is shown."`
}

// Validate implements envconf.Validator.
func (p places) Validate() error {
	if p.Trace != "" && !p.Trace.NamesID() {
		return fmt.Errorf("TRACE_URL: %q has no {id}, which is replaced by the id of the trace", p.Trace)
	}
	return nil
}

// record returns the address of a record in the viewer, or "".
func (p places) record(topic string, partition int32, offset int64) string {
	if p.Viewer == "" {
		return ""
	}
	return string(p.Viewer) + "#" + url.Values{"topic": {topic}, "partition": {strconv.Itoa(int(partition))}, "offset": {strconv.FormatInt(offset, 10)}}.Encode()
}

// acceptedWay is all that is known of an event that is neither stored nor refused: when
// it was accepted, if its id contains that time.
func acceptedWay(id uuid.UUID) []gin.H {
	accepted := gin.H{"step": "accepted"}
	if id.Version() == 7 {
		at := time.Unix(id.Time().UnixTime()).UTC()
		if at.Year() <= 9999 { // anyone can write an id, and RFC 3339 ends there
			accepted["at"] = at
		}
	}
	return []gin.H{accepted}
}

// way is what the page with the way of a purchase shows.
type way struct {
	ID      string
	State   string
	What    string // with its price
	Reason  string
	Steps   []wayStep
	TraceID string
	Trace   string // its address, or ""
	Trouble string
}

type wayStep struct {
	Step       string
	At         time.Time
	LagSeconds *float64
	Topic      string
	Partition  *int32
	Offset     *int64
	Record     string `json:"-"` // its address, or ""
}

// Lag is the time since the step before, in words.
func (s wayStep) Lag() string {
	if s.LagSeconds == nil {
		return ""
	}
	lag := time.Duration(*s.LagSeconds * float64(time.Second))
	switch {
	case lag < time.Second:
		return fmt.Sprintf("%d ms later", lag.Milliseconds())
	case lag < time.Minute:
		return fmt.Sprintf("%.1f s later", lag.Seconds())
	}
	return fmt.Sprintf("%d min %d s later", int(lag.Minutes()), int(lag.Seconds())%60)
}

// Place is the position of its record, in words.
func (s wayStep) Place() string {
	if s.Partition == nil || s.Offset == nil {
		return ""
	}
	return fmt.Sprintf("%s, partition %d, offset %d", s.Topic, *s.Partition, *s.Offset)
}

// wayAddress is the address of the page with the way of a purchase.
func wayAddress(id string) string { return "/shop/way/" + url.PathEscape(id) }

// way shows the way of a purchase.
func (k *checkout) way(c *gin.Context) {
	id, err := uuid.Parse(c.Param("eventId"))
	if err != nil || len(c.Param("eventId")) != 36 {
		k.show(c, http.StatusNotFound, troublePage("There is no such purchase."))
		return
	}
	w := way{ID: id.String()}
	got, err := k.management.get(c.Request.Context(), "/api/v1/purchases/by-event/"+w.ID, nil)
	status := http.StatusOK
	switch {
	case c.Request.Context().Err() != nil:
		c.AbortWithStatus(httpx.StatusClientGone)
		return
	case err == nil && got.status == http.StatusOK:
		if err := k.readWay(got.body, &w); err != nil {
			k.failed(c, err)
			return
		}
	case err == nil && got.status == http.StatusNotFound:
		w.State = "accepted"
		for _, s := range acceptedWay(id) {
			at, _ := s["at"].(time.Time)
			w.Steps = append(w.Steps, wayStep{Step: "accepted", At: at})
		}
	default:
		w.Trouble = "The state of the purchase can’t be shown right now. What was accepted is safe."
		status = http.StatusServiceUnavailable
		c.Header("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	k.show(c, status, wayPage(w))
}

// readWay reads the answer of management-api.
func (k *checkout) readWay(body []byte, w *way) error {
	var answer struct {
		State, Reason, Error, TraceID string
		Purchase                      *purchase
		Way                           []wayStep
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("reading the way of a purchase: %w", err)
	}
	w.State, w.Reason, w.Steps, w.TraceID, w.Trace = answer.State, answer.Error, answer.Way, answer.TraceID, k.places.Trace.For(answer.TraceID)
	for i, s := range w.Steps {
		if s.Partition != nil && s.Offset != nil {
			w.Steps[i].Record = k.places.record(s.Topic, *s.Partition, *s.Offset)
		}
	}
	if p := answer.Purchase; p != nil {
		if p.Currency == "" {
			p.Currency = k.currency
		}
		w.What = p.Amount()
		if p.Product != "" {
			w.What = p.Product + ", " + w.What
		}
	}
	return nil
}
