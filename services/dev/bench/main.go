// Command bench compares the services with minimal programs on the same clients: what
// `make bench` runs. It starts the real binaries and the peers in turn on the same
// broker and writes one table.
//
//	bench [-quick] [-only TEXT] [-growth] [-bin DIR] [-out FILE]
//	bench broker | database | sink | noop | relay | produce | latency | poll | insert | last [FLAG …]
//	    the parts that it starts as processes of their own
//
// With KAFKA_BOOTSTRAP_SERVERS set it uses those brokers instead of the embedded one.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, stdin io.Reader, stdout io.Writer) error {
	if len(arguments) > 0 {
		part, rest := arguments[0], arguments[1:]
		switch part {
		case "broker":
			return runBroker(stdin, stdout)
		case "sink":
			return runSink(ctx, rest, stdin, stdout)
		case "database":
			return runDatabase(stdin, stdout)
		case "noop":
			return runNoop(stdin, stdout)
		case "relay":
			return runRelay(rest, stdin, stdout)
		case "first", "produce", "latency", "poll", "insert", "last":
			return runPeer(ctx, part, rest, stdout)
		}
	}
	return compareAll(ctx, arguments, stdout)
}
