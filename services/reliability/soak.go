package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"
)

type soakOptions struct {
	manifest, bin string
	duration      time.Duration
	seed          uint64
}

// soak keeps a steady load up while one random fault follows another, then
// counts. It fails when a promise was broken.
func soak(ctx context.Context, o soakOptions, stdout io.Writer) error {
	if o.seed == 0 {
		o.seed = rand.Uint64N(1_000_000)
	}
	random := rand.New(rand.NewPCG(o.seed, 0))
	dir, err := os.MkdirTemp("", "shopstream-soak-")
	if err != nil {
		return fmt.Errorf("making a folder for the soak: %w", err)
	}
	fmt.Fprintf(stdout, "seed %d, %s, logs in %s\n", o.seed, o.duration, dir)

	starting, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	s, err := newStage(starting, stageOptions{Manifest: o.manifest, Bin: o.bin, Dir: dir, OrdersPerSecond: 50})
	if err != nil {
		return err
	}
	defer s.close()

	services := []string{"web-server", "management-api", "consumer", "api", "producer"}
	memory := map[string]int64{}
	for _, name := range services {
		memory[name] = s.platform.resident(name)
	}
	load, endLoad := context.WithTimeout(ctx, o.duration)
	defer endLoad()
	buyers := newShoppers(s.platform.url("web-server"), 16, 100*time.Millisecond)
	done := make(chan struct{})
	go func() { defer close(done); buyers.buy(load) }()

	start := time.Now()
	for load.Err() == nil {
		pause(load, 3*time.Second+time.Duration(random.Int64N(int64(5*time.Second))))
		if load.Err() != nil {
			break
		}
		list := faults()
		f := list[random.IntN(len(list))]
		fmt.Fprintf(stdout, "%7s  %s\n", time.Since(start).Round(time.Second), f.name)
		// Not under load: a fault that has begun is put right.
		bounded, release := context.WithTimeout(ctx, 3*time.Minute)
		err := f.inject(bounded, s, random)
		release()
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("injecting %q: %w", f.name, err)
		}
	}
	<-done

	verdict, audited, err := s.conclude(context.WithoutCancel(ctx), buyers)
	if err != nil {
		return err
	}
	for _, row := range verdict.summary(audited) {
		fmt.Fprintf(stdout, "  %-18s %s\n", row[0], row[1])
	}
	for _, name := range services {
		fmt.Fprintf(stdout, "  %-18s %d MiB at the start, %d MiB at the end\n", "memory "+name, memory[name]>>20, s.platform.resident(name)>>20)
	}
	return errors.Join(verdict.faults(), audited.faults())
}

// conclude stops the orders, waits until everything is behind its consumer,
// and counts.
func (s *stage) conclude(ctx context.Context, buyers *shoppers) (*audit, *ledger, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if err := s.platform.endIfRunning("producer"); err != nil {
		return nil, nil, err
	}
	if err := s.brokers.AwaitInSync(ctx); err != nil {
		return nil, nil, err
	}
	if err := s.auditor.settle(ctx); err != nil {
		return nil, nil, err
	}
	buyers.mu.Lock()
	defer buyers.mu.Unlock()
	counted, err := s.auditor.audit(ctx, &buyers.ledger)
	return counted, &buyers.ledger, err
}

// faults lists what no shopper may be told.
func (l *ledger) faults() error {
	var all []error
	for _, f := range l.Faults[:min(5, len(l.Faults))] {
		all = append(all, errors.New(f))
	}
	if len(l.Faults) > 5 {
		all = append(all, fmt.Errorf("and %d more wrong answers", len(l.Faults)-5))
	}
	// Five seconds, and one for a machine that runs everything at once.
	if l.SlowestRefusal > 6*time.Second {
		all = append(all, fmt.Errorf("a refusal took %s", l.SlowestRefusal))
	}
	if l.acknowledged() == 0 {
		all = append(all, errors.New("nothing was acknowledged"))
	}
	return errors.Join(all...)
}
