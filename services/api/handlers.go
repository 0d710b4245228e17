package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/sync/semaphore"

	"shopstream/services/internal/health"
	"shopstream/services/internal/httpx"
)

const (
	defaultLimit = 10
	maxLimit     = 1000
	// maxStreams bounds the live tails, each of which has its own reader.
	maxStreams = 32
	retryAfter = 2 * time.Second
)

// statusGone is the status in the metrics if the client has disconnected, as commonly
// used by proxies.
const statusGone = 499

// topicName is Kafka's rule for topic names.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

const topicRule = "must be at most 249 letters, digits, dots, underscores or hyphens"

// isInternal reports whether a topic is internal, by the naming convention of Kafka's
// internal topics.
func isInternal(topic string) bool { return strings.HasPrefix(topic, "__") }

// server answers the API's requests.
type server struct {
	cfg     config
	cluster *cluster
	readers *pool
	places  *memory
	answers *semaphore.Weighted // bytes of responses that clients are receiving
	health  *health.Health
	log     *slog.Logger
	metrics metrics

	streams   chan struct{} // one slot for each live tail
	listings  chan struct{} // one slot for each listing of topics or groups
	heartbeat time.Duration
}

type metrics struct {
	requests *prometheus.CounterVec
	consumed prometheus.Counter
	duration *prometheus.HistogramVec
	streams  prometheus.Gauge
}

func newServer(cfg config, cluster *cluster, readers *pool, h *health.Health, log *slog.Logger, reg prometheus.Registerer) *server {
	s := &server{
		cfg:     cfg,
		cluster: cluster,
		readers: readers,
		places:  newMemory(memorySize),
		answers: semaphore.NewWeighted(cfg.answerBytes()),
		health:  h,
		log:     log,
		metrics: metrics{
			requests: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
				Name: "api_requests_total",
				Help: "Requests to the API, by route.",
			}, []string{"endpoint"}),
			consumed: promauto.With(reg).NewCounter(prometheus.CounterOpts{
				Name: "api_messages_consumed_total",
				Help: "Messages sent to clients, in responses and in streams.",
			}),
			duration: promauto.With(reg).NewHistogramVec(prometheus.HistogramOpts{
				Name:    "messages_read_duration_seconds",
				Help:    "Time to read the last messages of a topic; complete is false if the limit on time or bytes was reached.",
				Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
			}, []string{"complete"}),
			streams: promauto.With(reg).NewGauge(prometheus.GaugeOpts{
				Name: "api_streams",
				Help: "Open live tails.",
			}),
		},
		streams:   make(chan struct{}, maxStreams),
		listings:  make(chan struct{}, cfg.ReadConcurrency),
		heartbeat: 15 * time.Second,
	}
	for _, complete := range []bool{true, false} {
		s.metrics.duration.WithLabelValues(strconv.FormatBool(complete)) // exists from the start, so that rate() counts the first one
	}
	return s
}

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

// messages answers GET /messages.
func (s *server) messages(c *gin.Context) {
	limit, limitFault := httpx.QueryInt(c, "limit", defaultLimit, 1, maxLimit)
	to, faults := parseSeek(c)
	sel, ok := s.parseSelection(c, append(faults, limitFault, checkCursor("cursor", c.Query("cursor")))...)
	if !ok {
		return
	}
	from, ok := sel.cursorOf(c, "cursor", c.Query("cursor"))
	if !ok {
		return
	}

	start := time.Now()
	page, err := s.lastMessages(c.Request.Context(), sel, to, limit, from)
	if err != nil {
		s.fail(c, err)
		return
	}
	defer page.release()
	s.metrics.duration.WithLabelValues(strconv.FormatBool(page.complete)).Observe(time.Since(start).Seconds())
	s.metrics.consumed.Add(float64(page.count))

	c.Header("X-Complete", strconv.FormatBool(page.complete))
	if page.reason != "" {
		c.Header("X-Reason", page.reason)
	}
	if page.missing != "" {
		c.Header("X-Unreadable", page.missing)
	}
	if page.next != "" {
		c.Header("Link", nextLink(c.Request.URL.Query(), sel, limit, page.next))
		c.Header("X-Next-Cursor", page.next) // for generated clients, which build the query themselves
	}
	if page.searched != nil {
		page.searched.writeTo(c.Writer.Header())
	}
	c.Header("Cache-Control", "no-store")
	// A client that has stopped reading must not keep its room.
	control := http.NewResponseController(c.Writer)
	_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
	c.Header("Content-Length", strconv.Itoa(len(page.body)))
	c.Data(http.StatusOK, jsonType, page.body)
	_ = control.Flush()
	_ = control.SetWriteDeadline(time.Time{})
}

// page is a response of GET /messages.
type page struct {
	body     []byte
	count    int // of messages
	complete bool
	reason   string
	next     string    // the cursor; "" at the beginning of the topic
	missing  string    // unreadable ranges
	searched *searched // nil if it was not a search
	release  func()    // returns its room
}

var errTimeout = errors.New("no message could be read in time")

// lastMessages reads the last limit messages of a selection, or the page at a cursor.
func (s *server) lastMessages(ctx context.Context, sel selection, to seek, limit int, from *cursor) (page, error) {
	if err := s.kafkaUp(); err != nil {
		return page{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ReadTimeout)
	defer cancel()

	r, err := s.acquire(ctx, sel.isolation)
	if err != nil {
		return page{}, err
	}
	defer s.readers.release(r)
	r.largest = int(min(s.cfg.ReadBytesLimit, math.MaxInt32))

	logs, err := r.locate(ctx, sel)
	if err != nil {
		return page{}, err
	}
	positions, err := s.positions(ctx, r, sel, from, logs)
	if err != nil {
		return page{}, err
	}
	if from == nil {
		if err := to.bound(ctx, r, sel, logs, positions); err != nil {
			return page{}, err
		}
	}
	tails := newTails(positions, logs)
	if to.pattern != nil {
		for _, t := range tails {
			t.match = to.matches
		}
	}

	reason, err := readBack(ctx, r, sel.topic, tails, limit, s.cfg.ReadBytesLimit)
	if err != nil {
		return page{}, err
	}
	records, next := choose(tails, limit)
	if next == nil && len(tails) > 0 {
		return page{}, fmt.Errorf("%w: %s", errTimeout, reason)
	}
	body, n, err := encodePage(sel.topic, records, s.cfg.ReadBytesLimit)
	if err != nil {
		return page{}, err
	}
	if n < len(records) {
		limit, reason = n, reasonBytes
		records, next = choose(tails, limit)
	}
	answer := page{body: body, count: n, complete: reason == "", reason: reason}
	if to.pattern != nil {
		looked := newSearched(tails, next, records, limit)
		answer.searched = &looked
	}
	switch {
	case remains(tails, next):
		at := newCursor(sel, r.log.id)
		if from != nil {
			at.last = from.last
		}
		if len(records) > 0 {
			at.last = older(at.last, records[len(records)-1].rank())
		}
		if answer.next, err = s.nextCursor(ctx, r, sel, at, tails, next); err != nil {
			return page{}, err
		}
		if reason == "" && len(records) < limit {
			answer.complete, answer.reason = false, reasonCursor
		}
	case len(records) < limit:
		answer.complete, answer.reason = true, reasonBeginning
	}
	if len(r.missing) > 0 {
		answer.complete, answer.reason, answer.missing = false, reasonUnreadable, missingPlaces(r.missing)
	}
	answer.release, err = s.room(ctx, int64(len(body)))
	return answer, err
}

// room waits until there is room for a response beside those that clients are still
// receiving.
func (s *server) room(ctx context.Context, bytes int64) (release func(), err error) {
	bytes = min(bytes, s.cfg.answerBytes())
	if err := s.answers.Acquire(ctx, bytes); err != nil {
		if errors.Is(err, context.Canceled) {
			return nil, err
		}
		return nil, errSaturated
	}
	return func() { s.answers.Release(bytes) }, nil
}

// acquire waits for a reader, for at most half of the request's time. The rest is for
// reading.
func (s *server) acquire(ctx context.Context, isolation kafka.IsolationLevel) (*reader, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ReadTimeout/2)
	defer cancel()
	return s.readers.acquire(ctx, isolation)
}

var (
	errLeaderless       = errors.New("no leader")
	errUnknownPartition = errors.New("unknown partition")
)

// kafkaUp fails at once if the background probe found Kafka unreachable, so that the
// request doesn't wait in vain.
func (s *server) kafkaUp() error {
	if _, _, states := s.health.Ready(); states["kafka"] != "up" {
		return fmt.Errorf("%w: %s", errUnavailable, states["kafka"])
	}
	return nil
}

// fail answers a request with its error.
func (s *server) fail(c *gin.Context, err error) {
	switch {
	case errors.Is(err, context.Canceled):
		c.AbortWithStatus(statusGone) // the client has disconnected
		return
	case errors.Is(err, errUnknownTopic):
		httpx.Abort(c, http.StatusNotFound, "no such topic")
	case errors.Is(err, errUnknownPartition):
		httpx.Abort(c, http.StatusNotFound, "the topic does not have this partition")
	case errors.Is(err, errForbidden):
		httpx.Abort(c, http.StatusForbidden, "Kafka's access list doesn't allow this service to read it")
	case errors.Is(err, errSaturated):
		httpx.AbortRetry(c, http.StatusServiceUnavailable, time.Second, "too many requests are reading at once; try again")
	case errors.Is(err, errRecreated):
		httpx.AbortRetry(c, http.StatusServiceUnavailable, retryAfter, "the topic was deleted and created again while it was read; try again")
	case errors.Is(err, errOtherLog), errors.Is(err, errForgotten):
		gone(c, err)
	case errors.Is(err, errLeaderless):
		httpx.AbortRetry(c, http.StatusServiceUnavailable, retryAfter, "a partition has no leader now; try again, or select a partition that has one with partition=")
	case errors.Is(err, errTimeout), errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errUnavailable):
		httpx.Abort(c, http.StatusGatewayTimeout, "no message could be read within the limits on time and bytes; try a smaller limit or a single partition")
	case errors.Is(err, errUnavailable):
		httpx.AbortRetry(c, http.StatusServiceUnavailable, retryAfter, "Kafka does not answer; try again")
	default:
		s.log.ErrorContext(c.Request.Context(), "request failed", "path", c.FullPath(), "error", err)
		httpx.Abort(c, http.StatusInternalServerError, "internal error")
		return
	}
	s.log.DebugContext(c.Request.Context(), "request refused", "path", c.FullPath(), "error", err)
}

// gone answers a request whose cursor is no longer valid.
func gone(c *gin.Context, err error) {
	what := map[error]string{
		errOtherLog:  "the topic was deleted and created again after the cursor was returned",
		errForgotten: "this process doesn't hold the cursor's positions: it was restarted, another pod returned the cursor, or newer cursors have replaced it",
	}
	for reason, text := range what {
		if errors.Is(err, reason) {
			httpx.Abort(c, http.StatusGone, text+". Request without cursor or Last-Event-ID to start over")
		}
	}
}

const jsonType = "application/json; charset=utf-8"

// writeJSON answers with v. It leaves < and > in texts unescaped.
func writeJSON(c *gin.Context, v any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		httpx.Abort(c, http.StatusInternalServerError, "internal error")
		return
	}
	c.Data(http.StatusOK, jsonType, body.Bytes())
}
