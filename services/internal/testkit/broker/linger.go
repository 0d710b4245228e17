package broker

import (
	"context"
	"net"
	"sync"
	"time"
)

// linger is how long a connection that its client has lost stays open for the
// broker. It is longer than any session of a group's member here.
const linger = time.Minute

// listen returns a listener whose connections outlast their clients.
//
// A group's coordinator must not notice that a member's connection has gone:
// the session's end is what says that the member is dead. kfake does notice.
// When a member dies while its join is pending, kfake can't answer it, and
// therefore never starts its session: the dead member then keeps its share of
// the partitions for good, and nobody reads them. So the answer has to seem to
// go out.
func listen(network, address string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	return lingeringListener{l}, nil
}

type lingeringListener struct{ net.Listener }

func (l lingeringListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	closed := make(chan struct{})
	return &lingeringConn{Conn: conn, closed: closed, end: sync.OnceFunc(func() { close(closed) })}, nil
}

// lingeringConn reports the loss of its client late.
type lingeringConn struct {
	net.Conn
	closed chan struct{} // by this side
	end    func()
}

func (c *lingeringConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		_ = c.Conn.Close() // the client's side sees the end at once
		select {
		case <-c.closed:
		case <-time.After(linger):
		}
	}
	return n, err
}

// Write seems to succeed when the client has gone; Read then says so.
func (c *lingeringConn) Write(p []byte) (int, error) {
	_, _ = c.Conn.Write(p)
	return len(p), nil
}

func (c *lingeringConn) Close() error {
	c.end()
	return c.Conn.Close()
}
