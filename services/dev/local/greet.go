package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// greet waits until every service is ready, then prints the addresses and some commands
// to try. It returns when ctx ends or the start takes too long.
func greet(ctx context.Context, cfg config, data *folder, children []*child, out *console, start time.Time) error {
	late := time.NewTimer(cfg.StartTimeout)
	defer late.Stop()
	for _, c := range children {
		select {
		case <-c.wasReady:
		case <-ctx.Done():
			return nil
		case <-late.C:
			return errors.New(notReady(children, cfg.StartTimeout))
		}
	}
	out.print(greeting(cfg, data, time.Since(start)))
	<-ctx.Done()
	return nil
}

func notReady(children []*child, bound time.Duration) string {
	var names []string
	for _, c := range children {
		if !closed(c.wasReady) {
			names = append(names, c.name+" (see "+c.url("/-/ready")+")")
		}
	}
	return fmt.Sprintf("not ready within START_TIMEOUT %s: %s", bound, strings.Join(names, ", "))
}

func greeting(cfg config, data *folder, took time.Duration) string {
	urls := map[string]service{}
	for _, services := range stages(cfg) {
		for _, s := range services {
			urls[s.name] = s
		}
	}
	kafka, mongo := cfg.BootstrapServers+" (external)", "external, see MONGO_URI"
	if cfg.BootstrapServers == "" {
		kafka = fmt.Sprintf("localhost:%d (embedded)", cfg.KafkaPort)
	}
	if cfg.MongoURI == "" {
		mongo = fmt.Sprintf("mongodb://localhost:%d (embedded)", cfg.MongoPort)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "\nshopstream is up after %s; data is kept in %s; Ctrl-C stops it.\n\n", took.Round(100*time.Millisecond), data.path)
	table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	for _, row := range [][2]string{
		{"the system, live", service{addr: cfg.System}.url("/system")},
		{"shop", urls["web-server"].url("")},
		{"topic viewer", urls["api"].url("/viewer")},
		{"management API", urls["management-api"].url("/openapi.yaml")},
		{"producer", urls["producer"].url("/metrics")},
		{"consumer", urls["consumer"].url("/metrics")},
		{"Kafka", kafka},
		{"MongoDB", mongo},
	} {
		fmt.Fprintf(table, "  %s\t%s\n", row[0], row[1])
	}
	_ = table.Flush()
	fmt.Fprintf(&text, `
Buy something, then see it stored and on the topic:

  curl -s %s -H 'Content-Type: application/json' -d '{"username":"Ada","userid":"ada","price":9.99}'
  curl -s %s
  curl -s '%s'

`, urls["web-server"].url("/api/v1/buy"), urls["web-server"].url("/api/v1/getAllUserBuys/ada"), urls["api"].url("/messages?topic=purchases&limit=5"))
	return text.String()
}
