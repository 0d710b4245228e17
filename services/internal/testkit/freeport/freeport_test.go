package freeport_test

import (
	"net"
	"testing"

	"shopstream/services/internal/testkit/freeport"
)

func TestPortsAreFreeAndDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 500 {
		addr := freeport.Addr(t)
		if seen[addr] {
			t.Fatalf("%s is given to two", addr)
		}
		seen[addr] = true
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
}
