package main

import (
	"flag"
	"os"
	"testing"
)

// These tests mostly wait for brokers, sessions and back-offs: more of them than there are
// cores run at the same time.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = flag.Set("test.parallel", "8")
	}
	os.Exit(m.Run())
}
