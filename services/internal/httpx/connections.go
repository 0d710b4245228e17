package httpx

import (
	"container/list"
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// mostConnections limits the connections of a server. Each takes some 15 kB when idle,
	// and up to maxHeader more while a request arrives: 2,500 fit into the smallest pod, and
	// 2,000 clients that buy all the time are still served.
	mostConnections = 2500
	// newest is how many may wait for a request even if all others have one in flight, which
	// the service limits by itself: probes, and clients that are answered 503.
	newest = 100
	// maxHeader limits the header of a request, in bytes.
	maxHeader = 16 << 10
	// tellAgain is the time between warnings that the limit is reached.
	tellAgain = 10 * time.Second
)

// connections makes room for new connections. Beyond the limit, the connection is closed
// that has waited longest without a whole request. Not accepting any would shut out
// probes too, until the idle ones time out.
type connections struct {
	log *slog.Logger

	mu      sync.Mutex
	open    map[net.Conn]*list.Element // nil from its request until the answer has been sent
	waiting list.List                  // of net.Conn, longest first
	told    time.Time
}

func newConnections(log *slog.Logger) *connections {
	return &connections{log: log, open: map[net.Conn]*list.Element{}}
}

// limit adds the limit to a server.
func (c *connections) limit(s *http.Server) {
	s.ConnState = c.changed
	s.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, conn)
	}
	next := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, ok := r.Context().Value(connectionKey{}).(net.Conn); ok && !c.begin(conn) {
			return // closed as the request arrived: nothing is done whose answer nobody gets
		}
		next.ServeHTTP(w, r)
	})
}

type connectionKey struct{}

func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.open[conn] = c.waiting.PushBack(conn)
		if len(c.open) > mostConnections && c.waiting.Len() > newest {
			c.close()
		}
	case http.StateIdle: // not before: when a handler returns, its answer may still be in a buffer
		if e, open := c.open[conn]; open && e == nil {
			c.open[conn] = c.waiting.PushBack(conn)
		}
	case http.StateClosed, http.StateHijacked:
		c.forget(conn)
	}
}

// close closes the connection that has waited longest.
func (c *connections) close() {
	longest, ok := c.waiting.Front().Value.(net.Conn)
	if !ok {
		return
	}
	c.forget(longest)
	_ = longest.Close() // its server notices
	if time.Since(c.told) > tellAgain {
		c.told = time.Now()
		c.log.Warn("too many connections: those that have waited longest without a request are closed", "limit", mostConnections)
	}
}

func (c *connections) forget(conn net.Conn) {
	if e := c.open[conn]; e != nil {
		c.waiting.Remove(e)
	}
	delete(c.open, conn)
}

// begin records that a connection has a request, and reports whether it is still open. (The
// state doesn't tell: it stays idle if the request was read together with the one before.)
func (c *connections) begin(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, open := c.open[conn]
	if e != nil {
		c.waiting.Remove(e)
		c.open[conn] = nil
	}
	return open
}
