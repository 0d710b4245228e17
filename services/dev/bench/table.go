package main

import (
	"bufio"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// compareAll runs every comparison and writes the table.
func compareAll(ctx context.Context, arguments []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	isQuick := flags.Bool("quick", false, "fewer rounds and messages: a minute, and less certain")
	only := flags.String("only", "", "run only the comparisons with this in the name of ours or of the peer, or what grows with this in its name")
	bin := flags.String("bin", "bin", "folder of the services' binaries")
	stripped := flags.String("stripped", "build/stripped", "folder of the same without symbols, and of the minimal programs")
	isGrowth := flags.Bool("growth", false, "measure how costs grow instead, with plots beside the table: five minutes")
	out := flags.String("out", "", "file for the table; build/bench.md or build/growth.md if empty")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	size := full()
	if *isQuick {
		size = quick()
	}
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // stops what is left after an error
	s, err := newStage(ctx, *bin)
	if err != nil {
		return err
	}
	defer s.close()
	if *isGrowth {
		return s.grow(ctx, *only, cmp.Or(*out, "build/growth.md"), stdout)
	}
	*out = cmp.Or(*out, "build/bench.md")
	dir, err := os.MkdirTemp("", "shopstream-bench-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	kcat, _ := exec.LookPath("kcat") // "" without it
	comparisons, err := s.comparisons(ctx, size, *stripped, kcat, dir)
	if err != nil {
		return err
	}
	var t table
	t.head(s, size)
	fmt.Fprint(stdout, t.String())
	all := map[string][]round{}
	for _, c := range comparisons {
		if !strings.Contains(c.name+" "+c.peerName, *only) {
			continue
		}
		if *isQuick && c.rounds > 1 {
			c.rounds = 1 // those with few rounds take the longest
		}
		before := t.Len()
		rounds, err := c.compare(ctx, size.rounds)
		if err != nil {
			return err
		}
		if c.peerName == "raw produce" {
			all[c.name] = rounds
		}
		for _, g := range c.goals {
			t.row(c, g, g.judge(rounds))
		}
		if produced := all["producer"]; c.peerName == "no-op gin handler" && produced != nil && !c.goals[0].relation.alone() {
			t.efficiency(c, rounds, produced)
		}
		fmt.Fprint(stdout, t.String()[before:])
	}
	if kcat == "" {
		fmt.Fprintln(&t, "\nWithout kcat's rows: it is not installed (Debian's package is kcat).")
	}
	fmt.Fprintf(&t, "\nThe run took %s. %s\n", time.Since(began).Round(time.Second), load())
	fmt.Fprintf(stdout, "\nThe run took %s. The table is in %s\n", time.Since(began).Round(time.Second), *out)
	if err := os.MkdirAll(filepath.Dir(*out), 0o755); err != nil {
		return fmt.Errorf("making the folder of the table: %w", err)
	}
	if err := os.WriteFile(*out, []byte(t.String()), 0o644); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// comparisons fills the topics that are read, and returns all comparisons in the table's
// order.
func (s *stage) comparisons(ctx context.Context, size sizes, stripped, kcat, dir string) ([]comparison, error) {
	orders, _, err := s.topic(ctx, "orders")
	if err != nil {
		return nil, err
	}
	if _, err := s.producer(ctx, orders, size.messages); err != nil {
		return nil, fmt.Errorf("writing the orders that are read: %w", err)
	}
	purchases, _, err := s.topic(ctx, "purchases")
	if err != nil {
		return nil, err
	}
	if _, err := s.producer(ctx, purchases, size.rows, "EVENT=purchase"); err != nil {
		return nil, fmt.Errorf("writing the purchases that are read: %w", err)
	}
	sink, err := s.sink(ctx)
	if err != nil {
		return nil, err
	}
	full, err := s.sink(ctx, "-full")
	if err != nil {
		return nil, err
	}
	slow, err := s.sink(ctx, "-per-row", "1ms")
	if err != nil {
		return nil, err
	}
	producing, consuming := s.producing(size.messages), s.consuming(orders, size.messages)
	all := []comparison{producing}
	all = append(all, s.buying(64, size.duration)...)
	all = append(all, s.buying(256, size.duration)...)
	all = append(all,
		s.crowding(max(size.duration/2, 700*time.Millisecond)),
		s.buyingAtRate(size.atRate, 2000),
		s.starting(),
		consuming,
		s.storing(purchases, sink, size.rows),
		s.storingAgain(purchases, sink, full, size.rows),
		s.joining(2, purchases, slow, 1.9),
		s.joining(4, purchases, slow, 3.6),
		s.paging(100_000, size.requests),
		s.reading(orders, size.requests),
		s.readingMuch(),
		s.readingTogether(orders, 200),
	)
	all = append(all, s.idling(stripped, sink)...)
	all = append(all, weighing(stripped)...)
	if kcat == "" {
		return all, nil
	}
	more, err := s.withKcat(kcat, dir, orders, size.messages, producing, consuming)
	return append(all, more...), err
}

// sink starts a server that stores nothing, and returns its URI.
func (s *stage) sink(ctx context.Context, arguments ...string) (string, error) {
	p, err := s.part(ctx, append([]string{"sink"}, arguments...)...)
	if err != nil {
		return "", err
	}
	addr, err := p.line()
	return "mongodb://" + addr + "/", err
}

// table is written row by row, in Markdown.
type table struct{ strings.Builder }

func (t *table) head(s *stage, size sizes) {
	fmt.Fprintf(t, "%s\n\n", s.machine())
	fmt.Fprintf(t, "%d rounds of peer, ours, peer; medians, and the quartiles of the rounds' ratios. A/A is the peer against itself:\n", size.rounds)
	fmt.Fprintf(t, "a row is void if it differs by more than %.0f %%, and unclear if the quartiles enclose its goal.\n\n", control*100)
	fmt.Fprintln(t, "| what | ours | peer | goal | ratio | A/A | |")
	fmt.Fprintln(t, "|---|---|---|---|---|---|---|")
}

func (t *table) row(c comparison, g goal, r result) {
	if g.relation.alone() {
		sign := map[relation]string{noLess: "≥", noMore: "≤"}[g.relation]
		beside := ""
		if r.peer > 0 {
			beside = c.peerName + ", " + amount(r.peer, g.unit)
		}
		fmt.Fprintf(t, "| %s: %s | %s (%.4g–%.4g) | %s | %s %.4g %s | | | %s |\n", c.name, g.what, amount(r.ours, g.unit), r.low, r.high, beside, sign, g.limit, g.unit, g.verdict(r))
		return
	}
	wanted := map[relation]string{atLeast: "≥ %.2f", atMost: "≤ %.2f", atMostAbove: "≤ peer + %.0f " + g.unit}[g.relation]
	fmt.Fprintf(t, "| %s: %s | %s | %s, %s | %s | %.2f (%.2f–%.2f) | %.2f | %s |\n",
		c.name, g.what, amount(r.ours, g.unit), c.peerName, amount(r.peer, g.unit), fmt.Sprintf(wanted, g.limit), r.value, r.low, r.high, r.controlled, g.verdict(r))
}

// efficiency is how near a buy comes to its two parts, HTTP and Kafka, one after the
// other on the same processors: T × (1/T_noop + 1/T_raw). 1 means that nothing is lost.
func (t *table) efficiency(c comparison, bought, produced []round) {
	g := goal{of: rate, relation: atLeast, limit: .85}
	buy, raw := g.judge(bought), g.judge(produced)
	both := 1/buy.peer + 1/raw.peer
	r := result{value: buy.ours * both, low: buy.ours * both, high: buy.ours * both, controlled: buy.controlled, void: buy.void || raw.void}
	fmt.Fprintf(t, "| %s: efficiency | %s | no-op and raw produce in turn, %s | ≥ %.2f | %.2f | %.2f | %s |\n",
		c.name, amount(buy.ours, "/s"), amount(1/both, "/s"), g.limit, r.value, r.controlled, g.verdict(r))
}

func amount(value float64, unit string) string {
	digits := 2
	if value >= 100 {
		digits = 0
	}
	return fmt.Sprintf("%.*f %s", digits, value, unit)
}

// machine says where and what is measured.
func (s *stage) machine() string {
	return fmt.Sprintf("%s, %d processors, %s/%s, %s, commit %s, on %s. %s", processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), commit(), s.kafka, load())
}

// processor is the model as Linux names it.
func processor() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, found := strings.CutPrefix(lines.Text(), "model name"); found {
			return strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(name), ":"))
		}
	}
	return "unknown processor"
}

// load says how busy the machine is: the benchmark's own programs count too.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	return "Load average: " + strings.Join(strings.Fields(string(text))[:3], ", ") + "."
}

func commit() string {
	text, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output() //nolint:noctx // it ends by itself
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}
