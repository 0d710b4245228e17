package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/sync/semaphore"

	"shopstream/services/internal/health"
	"shopstream/services/internal/httpx"
	"shopstream/services/internal/kafkax"
)

const (
	defaultLimit = 10
	maxLimit     = 1000
	// maxStreams bounds the live tails, each of which has its own reader.
	maxStreams = 32
	retryAfter = 2 * time.Second
)

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

	streams   chan struct{}       // one slot for each live tail
	turns     chan struct{}       // one slot for each live tail that is writing events
	large     kafkax.Turn         // of the live tail that reads a large batch
	blocks    *semaphore.Weighted // bytes that live tails decompress to at once
	listings  chan struct{}       // one slot for each listing of topics or groups
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
				Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 10},
			}, []string{"complete"}),
			streams: promauto.With(reg).NewGauge(prometheus.GaugeOpts{
				Name: "api_streams",
				Help: "Open live tails.",
			}),
		},
		streams:   make(chan struct{}, maxStreams),
		turns:     make(chan struct{}, cfg.ReadConcurrency),
		large:     kafkax.NewTurn(),
		blocks:    kafkax.NewBlocks(cfg.answerBytes()),
		listings:  make(chan struct{}, cfg.ReadConcurrency),
		heartbeat: 15 * time.Second,
	}
	for _, complete := range []bool{true, false} {
		s.metrics.duration.WithLabelValues(strconv.FormatBool(complete)) // exists from the start, so that rate() counts the first one
	}
	return s
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
	respond(c, page.body)
}

// respond sends a response that needs room. A client that has stopped reading must not
// keep that.
func respond(c *gin.Context, body []byte) {
	control := http.NewResponseController(c.Writer)
	_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
	c.Header("Content-Length", strconv.Itoa(len(body)))
	c.Data(http.StatusOK, "application/json; charset=utf-8", body)
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
	if s.answers.Acquire(ctx, bytes) != nil {
		return nil, saturated(ctx)
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
