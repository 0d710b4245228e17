// Command local runs the whole platform on this machine: an embedded Kafka
// broker, an embedded document database, and the real service binaries as
// child processes. It is what `make run` starts.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	drain, stop := context.WithCancel(context.Background())
	hurry, kill := context.WithCancel(context.Background())
	onSignals(stop, kill)
	if err := run(drain, hurry, os.Environ(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "local:", err)
		os.Exit(1)
	}
}

// onSignals drains on the first signal and kills the services on the second. A third ends
// this process, whatever it is doing.
func onSignals(drain, kill func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	// A closed terminal is a signal to stop, unless nohup disabled it.
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		<-signals
		drain()
		<-signals
		signal.Stop(signals)
		kill()
	}()
}
