package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/bson"

	"shopstream/services/internal/event"
	"shopstream/services/internal/httpx"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
	// queryTimeout bounds a query of the database; web-server waits five seconds for
	// the answer.
	queryTimeout = 4 * time.Second
	retryAfter   = 2 * time.Second
	// roomForLookups is the room for all requests: one takes as many units as it may
	// read documents. A document takes up to 10 kB as it is read and written.
	roomForLookups = 4 * (maxLimit + 1)
	// leastLookup is what each request takes, so that no more than 64 use the
	// database at once. The driver has 100 connections: the rest is for purchases to
	// be stored.
	leastLookup = roomForLookups / 64
)

// lookups answers requests from the database.
type lookups struct {
	store  *store
	topics topics
	room   *httpx.Room
	log    *slog.Logger
}

func newLookups(s *store, t topics, log *slog.Logger) *lookups {
	return &lookups{store: s, topics: t, room: httpx.NewRoom(roomForLookups), log: log}
}

// begin waits until a request may read so many documents. If it returns false, it has
// answered the request.
func (l *lookups) begin(c *gin.Context, documents int) (ctx context.Context, end func(), ok bool) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), queryTimeout)
	leave, ok := l.room.Enter(ctx, c, max(documents, leastLookup))
	if !ok {
		cancel()
		return nil, nil, false
	}
	return ctx, func() { cancel(); leave() }, true
}

// purchase is the JSON form of a stored purchase. The first four fields are those of
// the original system.
type purchase struct {
	UserID     string      `json:"userid"`
	Username   string      `json:"username"`
	Price      event.Price `json:"price"`
	Timestamp  event.Time  `json:"timestamp"`
	EventID    string      `json:"eventId"`
	PriceMinor int64       `json:"priceMinor"`
	Currency   string      `json:"currency"`
	Product    string      `json:"product,omitempty"` // "" if the buyer gave none
}

func purchaseOf(d document) purchase {
	return purchase{
		UserID: d.UserID, Username: d.Username, Price: event.Price(d.Price), Timestamp: event.TimeOf(d.Timestamp),
		EventID: d.ID, PriceMinor: d.PriceMinor, Currency: d.Currency,
		Product: d.Product,
	}
}

// list answers with a user's purchases, newest first, a page at a time.
func (l *lookups) list(c *gin.Context) {
	var faults []httpx.FieldError
	limit, fault := httpx.QueryInt(c, "limit", defaultLimit, 1, maxLimit)
	if fault != nil {
		faults = append(faults, *fault)
	}
	var after *cursor
	if text, given := c.GetQuery("before"); given {
		before, err := parseCursor(text)
		if err != nil {
			faults = append(faults, httpx.FieldError{Field: "before", Detail: "must be taken from the Link header of the page before"})
		}
		after = &before
	}
	if len(faults) > 0 {
		httpx.Abort(c, http.StatusBadRequest, faults[0].Field+" "+faults[0].Detail, faults...)
		return
	}
	userID := c.Param("userid")
	ctx, end, ok := l.begin(c, limit+1)
	if !ok {
		return
	}
	defer end()
	documents, err := l.store.page(ctx, userID, after, limit+1) // one more shows whether there is a next page
	if err != nil {
		l.fail(c, err)
		return
	}
	if len(documents) > limit {
		documents = documents[:limit]
		last := documents[limit-1]
		next := cursor{timestamp: last.Timestamp, id: last.ID}
		query := url.Values{"before": {next.String()}, "limit": {strconv.Itoa(limit)}}
		c.Header("Link", fmt.Sprintf(`</api/v1/purchases/%s?%s>; rel="next"`, url.PathEscape(userID), query.Encode()))
		c.Header("X-Next-Cursor", next.String()) // for generated clients, which build the query themselves
	}
	purchases := make([]purchase, 0, len(documents))
	for _, d := range documents {
		purchases = append(purchases, purchaseOf(d))
	}
	c.JSON(http.StatusOK, purchases)
}

// byEvent answers with the state of one event.
func (l *lookups) byEvent(c *gin.Context) {
	text := c.Param("eventId")
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		httpx.Abort(c, http.StatusBadRequest, "eventId must be a UUID", httpx.FieldError{Field: "eventId", Detail: "must be a UUID"})
		return
	}
	ctx, end, ok := l.begin(c, 1)
	if !ok {
		return
	}
	defer end()
	stored, letter, err := l.store.state(ctx, id.String())
	switch {
	case err != nil:
		l.fail(c, err)
	case stored != nil:
		c.JSON(http.StatusOK, storedState(stored, letter, l.topics))
	case letter != nil:
		c.JSON(http.StatusOK, refusedState(letter, l.topics))
	default:
		httpx.Abort(c, http.StatusNotFound, "no event with this id is stored or refused; one that was just accepted may take a moment")
	}
}

func (l *lookups) fail(c *gin.Context, err error) {
	if c.Request.Context().Err() != nil {
		c.AbortWithStatus(httpx.StatusClientGone)
		return
	}
	if undecodable := (*bson.DecodeError)(nil); errors.As(err, &undecodable) {
		// A retry doesn't help: something else has written to the collection.
		l.log.ErrorContext(c.Request.Context(), "a stored document is not a purchase", "error", err)
		httpx.Abort(c, http.StatusInternalServerError, "a stored document is not a purchase of this service")
		return
	}
	l.log.WarnContext(c.Request.Context(), "querying the database", "error", err)
	httpx.AbortRetry(c, http.StatusServiceUnavailable, retryAfter, "the database does not answer; try again")
}
