// Command topics changes the topics and grants of a Kafka cluster to what is declared,
// and ends. It is a Job in the cluster, and a step of a local run. `topics drain` moves
// all replicas off brokers that will be removed, `topics finalize` completes an
// upgrade of the brokers, and `topics features` reports the finalized features.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, os.Args[1:], os.Environ(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "topics:", err)
		os.Exit(1)
	}
}
