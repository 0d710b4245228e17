package main

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

// TestMain runs the tests, then looks for goroutines that stopped services have left.
func TestMain(m *testing.M) {
	// The parallel tests wait for time limits, not for processors.
	flag.Parse()
	_ = flag.Set("test.parallel", "16")
	code := m.Run()
	for _, function := range []string{"shopstream/services/internal/", "main.(*server)"} {
		for deadline := time.Now().Add(5 * time.Second); inside(function); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				fmt.Println("FAIL: a goroutine is left in", function)
				code = 1
				break
			}
		}
	}
	os.Exit(code)
}
