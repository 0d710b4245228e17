// Command broker-guard runs beside a Kafka node in its pod. It tells Kubernetes when the
// node's replicas are in sync again, and delays the node's stop until the cluster can do
// without it.
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
	if err := run(ctx, os.Environ(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "broker-guard:", err)
		os.Exit(1)
	}
}
