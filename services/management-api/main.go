// Command management-api stores purchases and serves them.
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
	if err := command(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "management-api:", err)
		os.Exit(1)
	}
}

// command runs the service, or what the first argument names.
func command(ctx context.Context, args []string) error {
	switch {
	case len(args) == 0:
		return run(ctx, os.Environ(), os.Stdout)
	case args[0] == "replay-dlq":
		return replayDLQ(ctx, args[1:], os.Environ(), os.Stdout, os.Stderr)
	case args[0] == "store-again":
		return storeAgain(ctx, args[1:], os.Environ(), os.Stderr)
	}
	return fmt.Errorf("unknown command %q: give none to run the service, or replay-dlq or store-again", args[0])
}
