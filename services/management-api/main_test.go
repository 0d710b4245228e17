package main

import (
	"flag"
	"os"
	"testing"
)

// These tests wait for brokers, sessions and back-offs much more than they
// compute: more of them than there are cores run side by side.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = flag.Set("test.parallel", "8")
	}
	os.Exit(m.Run())
}
