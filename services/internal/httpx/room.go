package httpx

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/semaphore"
)

// StatusClientGone is for the metrics only: the client has disconnected.
const StatusClientGone = 499

// Room limits what requests hold at once, such as memory or connections, in any unit.
// Safe for concurrent use.
type Room struct {
	held *semaphore.Weighted
	most int64
}

// NewRoom returns a Room of the given size.
func NewRoom(most int) *Room {
	return &Room{semaphore.NewWeighted(int64(most)), int64(most)}
}

// Enter waits until there is room for n, or takes all of it if n is more than that. If
// it returns false, ctx has ended, and it has answered the request.
func (r *Room) Enter(ctx context.Context, c *gin.Context, n int) (leave func(), ok bool) {
	taken := min(int64(n), r.most)
	switch err := r.held.Acquire(ctx, taken); {
	case err == nil:
		return func() { r.held.Release(taken) }, true
	case c.Request.Context().Err() != nil:
		c.AbortWithStatus(StatusClientGone)
	default:
		AbortRetry(c, http.StatusServiceUnavailable, time.Second, "too many requests at once; try again")
	}
	return nil, false
}
