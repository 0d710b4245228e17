package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"shopstream/services/internal/event"
	"shopstream/services/internal/httpx"
	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/trace"
)

const (
	maxBody = 64 << 10
	// roomForBodies is the room for all bodies that are longer than those of purchases
	// usually are, so that many clients that send slowly don't take all memory.
	roomForBodies = 8 << 20
	usualBody     = 4 << 10
	// retryAfter is the Retry-After of answers while a backend is unreachable.
	retryAfter = 2 * time.Second
	// linger: a record is sent at once. Under load librdkafka still batches, since
	// records accumulate while earlier requests are in flight; BenchmarkBuy has the
	// numbers.
	linger = 0
	// roomForLists is the room for all lists of purchases that are being fetched or
	// sent, in purchases. One of them takes up to 5 kB.
	roomForLists = 8000
	roomTimeout  = time.Second
	defaultLimit = 100 // of management-api, which checks what a client asks for
	maxLimit     = 1000
)

// sender is the part of the Kafka producer that a buy uses.
type sender interface {
	Send(ctx context.Context, r kafkax.Record) (kafkax.Placed, error)
}

// server holds what the API's handlers share.
type server struct {
	kafka      sender
	management *management
	lists      *httpx.Room
	bodies     *httpx.Room
	log        *slog.Logger

	topic    string
	currency string
	places   places
}

func newServer(cfg config, kafka sender, m *management, log *slog.Logger) *server {
	return &server{
		kafka: kafka, management: m, log: log,
		lists: httpx.NewRoom(roomForLists), bodies: httpx.NewRoom(roomForBodies),
		topic: cfg.PurchasesTopic, currency: cfg.Currency, places: cfg.Places,
	}
}

// buy sends a purchase to the topic and answers 202 once Kafka has acknowledged it.
func (s *server) buy(c *gin.Context) {
	request, id, ok := s.readBuy(c)
	if !ok {
		return
	}
	purchase, placed, err := s.record(c.Request.Context(), request, id)
	switch {
	case err == nil:
		// Only after the acknowledgement by all in-sync replicas does the answer
		// say that the purchase is recorded.
		answer, err := event.NewAcceptance(purchase, placed.Partition, placed.Offset).Encode()
		if err != nil {
			_ = c.Error(err) // the engine answers
			return
		}
		c.Header("Location", "/api/v1/buys/"+id)
		c.Data(http.StatusAccepted, "application/json; charset=utf-8", answer)
	case c.Request.Context().Err() != nil:
		c.AbortWithStatus(httpx.StatusClientGone)
	case errors.Is(err, kafkax.ErrUnavailable):
		s.log.DebugContext(c.Request.Context(), "purchase not acknowledged", "error", err, "event_id", id)
		httpx.AbortRetry(c, http.StatusServiceUnavailable, retryAfter,
			"Kafka has not acknowledged the purchase; send it again with the same Idempotency-Key and it is stored once")
	default:
		s.log.ErrorContext(c.Request.Context(), "a purchase was refused", "error", err, "event_id", id)
		httpx.Abort(c, http.StatusInternalServerError, "Kafka refused the purchase as invalid")
	}
}

// record sends a purchase to the topic and returns once Kafka has acknowledged it.
// If the error wraps kafkax.ErrUnavailable, the outcome is unknown, and the purchase
// can be sent again with the same id.
func (s *server) record(ctx context.Context, request event.BuyRequest, id string) (event.Purchase, kafkax.Placed, error) {
	purchase := event.NewPurchase(request, id, s.currency, time.Now())
	trace.Note(ctx, "shopstream.event_id", id)
	value, err := purchase.Encode()
	if err != nil {
		return purchase, kafkax.Placed{}, fmt.Errorf("encoding a purchase: %w", err)
	}
	placed, err := s.kafka.Send(ctx, kafkax.Record{
		Topic:     s.topic,
		Key:       []byte(request.UserID), // a user's events are in one partition, so they keep their order
		Value:     value,
		Timestamp: purchase.Timestamp.Time,
	})
	return purchase, placed, err
}

func abortTooLarge(c *gin.Context) {
	httpx.Abort(c, http.StatusRequestEntityTooLarge, "the body must be at most 64 KiB")
}

// limitBodies lets long bodies wait until there is room for them. One that says that it
// is too long is refused before a client that waits for 100 Continue sends it.
func (s *server) limitBodies(tooLarge gin.HandlerFunc) gin.HandlerFunc {
	return func(c *gin.Context) {
		length := c.Request.ContentLength // -1 if it is not known
		switch {
		case length > maxBody:
			tooLarge(c)
			c.Abort()
			return
		case length >= 0 && length <= usualBody:
			return
		}
		ctx, cancel := context.WithTimeout(c.Request.Context(), roomTimeout)
		defer cancel()
		leave, ok := s.bodies.Enter(ctx, c, maxBody)
		if !ok {
			return
		}
		defer leave()
		c.Next()
	}
}

// readBuy reads the body and the idempotency key, and reports all faults of both in
// one answer. It accepts any content type, as the original did.
func (s *server) readBuy(c *gin.Context) (request event.BuyRequest, id string, ok bool) {
	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		switch {
		case errors.As(err, &tooLarge):
			abortTooLarge(c)
		case errors.Is(err, os.ErrDeadlineExceeded):
			httpx.Abort(c, http.StatusRequestTimeout, "the body did not arrive in time")
		default:
			httpx.Abort(c, http.StatusBadRequest, "the body could not be read")
		}
		return request, "", false
	}

	var faults []httpx.FieldError
	key, fault := idempotencyKey(c.Request.Header)
	if fault != nil {
		faults = append(faults, *fault)
	}
	request, err = event.ParseBuyRequest(body, s.currency)
	if err != nil {
		faults = append(faults, fieldErrors(err)...)
	}
	if len(faults) > 0 {
		httpx.Abort(c, http.StatusBadRequest, "the purchase is not valid", faults...)
		return request, "", false
	}

	if key != "" {
		return request, eventIDFor(request.UserID, key), true
	}
	id, err = event.NewID()
	if err != nil {
		s.log.ErrorContext(c.Request.Context(), "making an event id", "error", err)
		httpx.Abort(c, http.StatusInternalServerError, "no event id could be made")
		return request, "", false
	}
	return request, id, true
}

func fieldErrors(err error) []httpx.FieldError {
	var invalid *event.Invalid
	if !errors.As(err, &invalid) {
		return []httpx.FieldError{{Detail: err.Error()}}
	}
	faults := make([]httpx.FieldError, 0, len(invalid.Faults))
	for _, f := range invalid.Faults {
		field := f.Field
		if field == "" {
			field = "body"
		}
		faults = append(faults, httpx.FieldError{Field: field, Detail: f.Detail})
	}
	return faults
}

const idempotencyHeader = "Idempotency-Key"

// idempotencyKey returns the request's key, or "" if it has none.
func idempotencyKey(h http.Header) (string, *httpx.FieldError) {
	values := h.Values(idempotencyHeader)
	if len(values) == 0 {
		return "", nil
	}
	if len(values) == 1 && isKey(values[0]) {
		return values[0], nil
	}
	return "", &httpx.FieldError{Field: idempotencyHeader, Detail: "must be given once, with 1 to 200 printable ASCII characters"}
}

// isKey reports whether a text can be an idempotency key.
func isKey(key string) bool {
	for _, r := range []byte(key) {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return key != "" && len(key) <= 200
}

// eventIDFor derives the event id from the user and the key, so that a repeated buy
// becomes the same event, which is stored once. Two users never share an id, since
// neither part can contain the separator.
func eventIDFor(userID, key string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("buy:"+userID+"\x00"+key)).String()
}

// userBuys forwards a page of the user's purchases from management-api.
func (s *server) userBuys(c *gin.Context) {
	query := url.Values{}
	for _, name := range []string{"limit", "before"} {
		if values, given := c.GetQueryArray(name); given {
			query[name] = values
		}
	}
	limit, fault := httpx.QueryInt(c, "limit", defaultLimit, 1, maxLimit)
	if fault != nil {
		limit = 1 // management-api answers with the fault
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), roomTimeout)
	defer cancel()
	leave, ok := s.lists.Enter(ctx, c, limit)
	if !ok {
		return
	}
	defer leave()
	got, ok := s.ask(c, "/api/v1/purchases/"+escapeSegment(c.Param("userid")), query)
	if !ok {
		return
	}
	if got.status != http.StatusOK {
		refuse(c, got)
		return
	}
	if next := nextQuery(got.header); next != nil {
		c.Header("Link", "<"+c.Request.URL.EscapedPath()+"?"+next.Encode()+`>; rel="next"`)
		c.Header("X-Next-Cursor", next.Get("before"))
	}
	c.Header("Cache-Control", "no-store")
	c.Data(http.StatusOK, "application/json; charset=utf-8", got.body)
}

// buyState answers whether a buy is accepted, stored or dead-lettered.
func (s *server) buyState(c *gin.Context) {
	id, err := uuid.Parse(c.Param("eventId"))
	if err != nil || len(c.Param("eventId")) != 36 {
		httpx.Abort(c, http.StatusBadRequest, "the event id is not valid", httpx.FieldError{Field: "eventId", Detail: "must be a UUID"})
		return
	}
	got, ok := s.ask(c, "/api/v1/purchases/by-event/"+id.String(), nil)
	if !ok {
		return
	}
	c.Header("Cache-Control", "no-store")
	switch got.status {
	case http.StatusOK:
		c.Data(http.StatusOK, "application/json; charset=utf-8", got.body)
	case http.StatusNotFound:
		// Probably on its way: this service doesn't record the ids that it has
		// issued.
		c.JSON(http.StatusOK, gin.H{"eventId": id, "state": "accepted", "way": acceptedWay(id)})
	default:
		refuse(c, got)
	}
}

// ask gets path from management-api. If there is no usable answer, it answers the
// client itself and returns false.
func (s *server) ask(c *gin.Context, path string, query url.Values) (answer, bool) {
	got, err := s.management.get(c.Request.Context(), path, query)
	switch {
	case err == nil:
		return got, true
	case c.Request.Context().Err() != nil:
		c.AbortWithStatus(httpx.StatusClientGone)
	case errors.Is(err, errLate):
		httpx.Abort(c, http.StatusGatewayTimeout, "management-api did not answer in time")
	case errors.Is(err, errUnusable):
		s.log.WarnContext(c.Request.Context(), "invalid answer from management-api", "error", err)
		httpx.Abort(c, http.StatusBadGateway, "management-api gave an invalid answer")
	default:
		s.log.DebugContext(c.Request.Context(), "management-api is unreachable", "error", err)
		httpx.AbortRetry(c, http.StatusServiceUnavailable, retryAfter, "management-api is unreachable")
	}
	return answer{}, false
}

// refuse forwards a refusal. The caller's own faults and transient faults keep their
// status; all others are faults of management-api, so the answer is 502.
func refuse(c *gin.Context, got answer) {
	var problem httpx.Problem
	_ = json.Unmarshal(got.body, &problem) // if the body is no problem, there is still the status
	switch got.status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if got.status == http.StatusServiceUnavailable {
			after := got.header.Get("Retry-After")
			if after == "" {
				after = "2"
			}
			c.Header("Retry-After", after)
		}
		if problem.Detail == "" {
			problem.Detail = "management-api gave no details"
		}
		httpx.Abort(c, got.status, problem.Detail, problem.Errors...)
	default:
		httpx.Abort(c, http.StatusBadGateway, "management-api failed")
	}
}
