// Command reliability runs Apache Kafka's own brokers on this machine and tests the
// platform with them:
//
//	reliability brokers -manifest FILE -- COMMAND [ARG …]
//	    runs COMMAND with KAFKA_BOOTSTRAP_SERVERS set to three real brokers
//	reliability soak -manifest FILE -bin DIR [-duration 10m] [-seed N]
//	    steady load with random faults, then a table of the results
//
// The manifest is the brokers' StatefulSet as infra renders it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"shopstream/services/dev/reliability/cluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "reliability:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: reliability brokers -manifest FILE -- COMMAND [ARG …] | reliability soak -manifest FILE -bin DIR [-duration 10m] [-seed N]")

func run(ctx context.Context, arguments []string, stdout io.Writer) error {
	if len(arguments) == 0 {
		return errUsage
	}
	flags := flag.NewFlagSet(arguments[0], flag.ContinueOnError)
	manifest := flags.String("manifest", "", "the brokers' StatefulSet in YAML")
	bin := flags.String("bin", "bin", "folder of the services' binaries")
	duration := flags.Duration("duration", 10*time.Minute, "how long the load goes on")
	seed := flags.Uint64("seed", 0, "of the random faults; 0 draws one")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	if *manifest == "" {
		return fmt.Errorf("-manifest is required\n%w", errUsage)
	}
	switch arguments[0] {
	case "brokers":
		return withBrokers(ctx, *manifest, flags.Args())
	case "soak":
		return soak(ctx, soakOptions{manifest: *manifest, bin: *bin, duration: *duration, seed: *seed}, stdout)
	}
	return errUsage
}

// withBrokers runs a command while real brokers run.
func withBrokers(ctx context.Context, path string, command []string) error {
	if len(command) == 0 {
		return errUsage
	}
	declared, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the brokers' manifest: %w", err)
	}
	manifest, err := cluster.ParseManifest(declared)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "shopstream-brokers-")
	if err != nil {
		return fmt.Errorf("making a folder for the brokers: %w", err)
	}
	defer os.RemoveAll(dir)
	start, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	brokers, err := cluster.Start(start, cluster.Options{Manifest: manifest, Dir: dir})
	if err != nil {
		return err
	}
	defer brokers.Close()
	process := exec.CommandContext(ctx, command[0], command[1:]...)
	process.Env = append(os.Environ(), "KAFKA_BOOTSTRAP_SERVERS="+brokers.BootstrapServers())
	process.Stdin, process.Stdout, process.Stderr = os.Stdin, os.Stdout, os.Stderr
	process.Cancel = func() error { return process.Process.Signal(syscall.SIGTERM) }
	if err := process.Run(); err != nil {
		return fmt.Errorf("running %s: %w", command[0], err)
	}
	return nil
}
