package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// growth is how figures of a service change with the number of something.
type growth struct {
	name    string // of the plot's file
	of      string // what there is more and more of
	numbers []int
	times   int      // how often each is measured; the median counts
	figures []figure // the first one is plotted
	measure func(ctx context.Context, n int) (sample, error)
}

type figure struct {
	what, unit string
	of         func(sample) float64
}

// grow measures everything that grows, and writes a table and a plot of each.
func (s *stage) grow(ctx context.Context, only, out string, stdout io.Writer) error {
	purchases, _, err := s.topic(ctx, "purchases")
	if err != nil {
		return err
	}
	if _, err := s.producer(ctx, purchases, 200_000, "EVENT=purchase"); err != nil {
		return fmt.Errorf("writing the purchases that are read: %w", err)
	}
	slow, err := s.sink(ctx, "-per-row", "1ms")
	if err != nil {
		return err
	}
	shop, err := s.openShop(ctx)
	if err != nil {
		return err
	}
	defer shop.close()
	server, err := s.webServer(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = server.stop() }()
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return fmt.Errorf("making the folder of the table: %w", err)
	}
	var text strings.Builder
	fmt.Fprintln(&text, s.machine())
	for _, g := range []growth{
		{
			name: "connections", of: "clients that buy", numbers: []int{1, 4, 16, 64, 256, 1000, 2000}, times: 3,
			figures: []figure{{"buys", "/s", rate}, {"CPU a buy", "µs", cpu}},
			measure: func(ctx context.Context, n int) (sample, error) { return s.hammer(ctx, server, n, time.Second) },
		},
		{
			name: "members", of: "members, 1 ms of I/O a row", numbers: []int{1, 2, 3, 4, 5, 6}, times: 1,
			figures: []figure{{"purchases stored", "/s", rate}},
			measure: func(ctx context.Context, n int) (sample, error) {
				return s.members(n, purchases, slow, 3*time.Second)(ctx)
			},
		},
		{
			name: "partitions", of: "partitions of the topic", numbers: []int{1, 3, 10, 30, 100, 300, 1000}, times: 1,
			figures: []figure{{"/messages?limit=100, p50", "ms", p50}, {"p99", "ms", p99}, {"CPU a request", "µs", cpu}, {"fetches", "", fetches}},
			measure: s.readOf,
		},
		{
			name: "purchases", of: "purchases stored", numbers: []int{1000, 10_000, 100_000, 1_000_000}, times: 1,
			figures: []figure{{"a user's page, p50", "ms", p50}, {"p99", "ms", p99}, {"stored meanwhile", "/s", rate}, {"memory of the database", "MiB", memory}},
			measure: shop.growTo,
		},
	} {
		if !strings.Contains(g.of, only) {
			continue
		}
		samples, err := g.run(ctx)
		if err != nil {
			return err
		}
		table := g.table(samples)
		fmt.Fprint(stdout, table)
		text.WriteString(table)
		plot := filepath.Join(filepath.Dir(out), "growth-"+g.name+".svg")
		if err := os.WriteFile(plot, []byte(g.plot(samples)), 0o644); err != nil {
			return fmt.Errorf("writing the plot of %s: %w", g.name, err)
		}
	}
	fmt.Fprintf(&text, "\n%s\n", load())
	if err := os.WriteFile(out, []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

func (g growth) run(ctx context.Context) ([]sample, error) {
	var medians []sample
	for _, n := range g.numbers {
		var samples []sample
		for range g.times {
			got, err := g.measure(ctx, n)
			if err != nil {
				return nil, fmt.Errorf("with %d %s: %w", n, g.of, err)
			}
			samples = append(samples, got)
		}
		slices.SortFunc(samples, func(a, b sample) int { return cmp.Compare(g.figures[0].of(a), g.figures[0].of(b)) })
		medians = append(medians, samples[len(samples)/2])
	}
	return medians, nil
}

func (g growth) table(samples []sample) string {
	var t strings.Builder
	fmt.Fprintf(&t, "\n| %s |", g.of)
	for _, f := range g.figures {
		fmt.Fprintf(&t, " %s |", f.what)
	}
	fmt.Fprintf(&t, "\n|%s\n", strings.Repeat("---|", 1+len(g.figures)))
	for i, n := range g.numbers {
		fmt.Fprintf(&t, "| %d |", n)
		for _, f := range g.figures {
			fmt.Fprintf(&t, " %s |", amount(f.of(samples[i]), f.unit))
		}
		fmt.Fprintln(&t)
	}
	return t.String()
}

// readOf asks for the last messages of a topic with so many partitions, which all have some.
func (s *stage) readOf(ctx context.Context, partitions int) (sample, error) {
	topic, drop, err := s.topicOf(ctx, "partitions", partitions)
	if err != nil {
		return sample{}, err
	}
	defer drop()
	if err := s.fill(ctx, topic, partitions, max(20_000, 20*partitions), 200); err != nil {
		return sample{}, err
	}
	return s.asks("/messages?limit=100&topic="+topic, 50)(ctx)
}

// growTo stores until there are as many purchases, and asks for pages.
func (s *shop) growTo(ctx context.Context, total int) (sample, error) {
	began, before := time.Now(), s.stored
	if err := s.store(ctx, total); err != nil {
		return sample{}, err
	}
	took := time.Since(began)
	got, err := s.stage.asking(ctx, s.api, s.page, 100)
	if err != nil {
		return sample{}, err
	}
	got.Rate = float64(total-before) / took.Seconds()
	got.Memory, err = s.database.status("VmRSS")
	return got, err
}
