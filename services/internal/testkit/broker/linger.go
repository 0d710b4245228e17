package broker

import (
	"context"
	"net"
	"sync"
	"time"
)

// linger is how long a connection that its client has closed stays open for the broker.
// It is longer than any group member's session here.
const linger = time.Minute

// listen returns a listener whose connections outlast their clients.
//
// A group coordinator must not notice that a member's connection is closed: the member
// is dead once its session expires. kfake does notice. If a member dies while its join
// is pending, kfake can't answer it and never starts its session: the dead member then
// keeps its partitions forever, and nobody reads them. So the response must seem to
// have been sent.
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

// lingeringConn reports late that its client has disconnected.
type lingeringConn struct {
	net.Conn
	closed chan struct{} // by the broker
	end    func()
}

func (c *lingeringConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		_ = c.Conn.Close() // the client sees the end at once
		select {
		case <-c.closed:
		case <-time.After(linger):
		}
	}
	return n, err
}

// Write seems to succeed if the client has disconnected; Read then reports it.
func (c *lingeringConn) Write(p []byte) (int, error) {
	_, _ = c.Conn.Write(p)
	return len(p), nil
}

func (c *lingeringConn) Close() error {
	c.end()
	return c.Conn.Close()
}
