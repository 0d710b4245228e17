package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"shopstream/services/internal/httpx"
)

var errTimeout = errors.New("no message could be read in time")

// Errors that determine the status of a response.
var (
	errUnavailable      = errors.New("kafka does not answer")
	errUnknownTopic     = errors.New("unknown topic")
	errForbidden        = errors.New("kafka denies this service access")
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
		c.AbortWithStatus(httpx.StatusClientGone)
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
