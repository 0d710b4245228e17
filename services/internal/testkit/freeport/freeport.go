// Package freeport finds ports for what starts later than its address has to be
// known, or starts again at the same one.
package freeport

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Kernels give outgoing connections the ports from 32768 on (macOS: 49152). A
// port below is taken by no connection before its owner listens on it.
const lowest, count = 15000, 15000

// given are the ports that this process has handed out. Nothing may listen on
// one yet when the next is asked for.
var given = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// Find returns a port of 127.0.0.1 that nothing listens on, never the same one
// twice.
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
	return 0, errors.New("no free port was found: end what listens on the ports from 15000 to 29999")
}

// Get returns such a port to a test.
func Get(t testing.TB) int {
	t.Helper()
	port, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Addr returns 127.0.0.1 with such a port.
func Addr(t testing.TB) string {
	t.Helper()
	return addr(Get(t))
}

func addr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
