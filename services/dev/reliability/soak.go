package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"shopstream/services/internal/retry"
)

type soakOptions struct {
	manifest, bin string
	duration      time.Duration
	seed          uint64
}

// soak keeps up a steady load while one random fault follows another, then audits the
// result. It fails if a guarantee was broken.
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
	s, err := newStage(starting, stageOptions{Manifest: o.manifest, Bin: o.bin, Dir: dir})
	if err != nil {
		return err
	}
	defer s.close()
	load, err := s.begin(ctx)
	if err != nil {
		return err
	}
	retry.Sleep(ctx, 5*time.Second) // every operation has been used once
	services := []string{"web-server", "management-api", "consumer", "api", "producer"}
	memory := map[string]int64{}
	for _, name := range services {
		memory[name] = s.platform.resident(name)
	}

	start := time.Now()
	left := func() time.Duration { return o.duration - time.Since(start) }
	for ctx.Err() == nil && left() > 0 {
		list := faults()
		f := list[random.IntN(len(list))]
		fmt.Fprintf(stdout, "%7s  %s\n", time.Since(start).Round(time.Second), f.name)
		if err := s.inject(ctx, f, random); err != nil && ctx.Err() == nil {
			return fmt.Errorf("injecting %q: %w", f.name, err)
		}
		retry.Sleep(ctx, min(left(), 3*time.Second+time.Duration(random.Int64N(int64(5*time.Second)))))
	}
	for _, name := range services {
		fmt.Fprintf(stdout, "  %-22s %d MiB at the start, %d MiB at the end\n", "memory "+name, memory[name]>>20, s.platform.resident(name)>>20)
	}
	r, err := load.conclude(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	for _, row := range r.rows() {
		fmt.Fprintf(stdout, "  %-22s %s\n", row[0], row[1])
	}
	if err := r.faults(); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}
