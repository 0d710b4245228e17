// Command load runs the load test on a platform on this machine, which `make run` starts. It is a separate command, since
// platform, which runs it on a cluster, takes minutes to compile.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"shopstream/infra/internal/capacity"
	"shopstream/infra/internal/config"
	"shopstream/infra/internal/endpoint"
	"shopstream/infra/internal/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it at once
	err := run(ctx, os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, "ERROR:", err)
	}
	os.Exit(load.ExitStatus(err))
}

func run(ctx context.Context, getenv func(string) string) error {
	shop := cmp.Or(getenv("URL"), "http://localhost:8081")
	api := getenv("API_URL")
	if u, err := url.Parse(shop); api == "" && err == nil {
		api = u.Scheme + "://" + net.JoinHostPort(u.Hostname(), "3000")
	}
	phases, err := load.Phases(getenv)
	if err := errors.Join(load.Loopback(shop), load.Loopback(api), err); err != nil {
		return err
	}
	defaults, err := config.Defaults(config.Default)
	if err != nil {
		return err
	}
	size := defaults.Services.ManagementAPI
	return load.Run(ctx, load.Options{
		Shop: endpoint.Endpoint{URL: shop}, API: endpoint.Endpoint{URL: api, Token: getenv("API_TOKEN")}, Phases: phases, Group: "management-api-group",
		// The process is like one pod with all partitions.
		Services: []load.Service{{Name: "management-api", Model: &capacity.Model{
			PerPod: float64(size.DrainPerSecond), Target: float64(size.Target) / 100, CatchUp: time.Duration(size.CatchUp), Min: 1, Max: 1, Partitions: defaults.Topics.Purchases.Partitions,
		}}},
		Plot: cmp.Or(getenv("OUT"), "build/load.html"), Out: os.Stdout,
	})
}
