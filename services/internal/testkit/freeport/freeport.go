// Package freeport finds free ports for servers whose address must be known before they
// start, or that restart on the same port.
package freeport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// The kernel uses ports from 32768 on (macOS: 49152) for outgoing connections. Lower ones
// can't be taken by a connection before the server listens.
const lowest, count = 15000, 15000

// given are the ports that this process has handed out: nothing may listen on them yet
// when the next one is requested.
var given = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// Find returns a port of 127.0.0.1 that nothing listens on, never the same one twice.
func Find() (int, error) {
	given.Lock()
	defer given.Unlock()
	for range 1000 {
		port := lowest + rand.IntN(count)
		if given.ports[port] {
			continue
		}
		if l, err := net.Listen("tcp", addr(port)); err == nil { //nolint:noctx // it doesn't wait
			_ = l.Close()
			given.ports[port] = true
			return port, nil
		}
	}
	return 0, errors.New("no free port was found: stop the processes that listen on the ports from 15000 to 29999")
}

// Get returns a free port to a test.
func Get(t testing.TB) int {
	t.Helper()
	port, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Addr returns 127.0.0.1 with a free port.
func Addr(t testing.TB) string {
	t.Helper()
	return addr(Get(t))
}

func addr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
