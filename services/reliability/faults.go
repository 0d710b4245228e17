package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// fault is something that goes wrong, and is put right again, while the load
// goes on.
type fault struct {
	name string
	// inject makes it go wrong and right again; it returns when all is in
	// order as far as the fault is concerned. Recovery is the services' part.
	inject func(ctx context.Context, s *stage, random *rand.Rand) error
}

// faults lists what the soak draws from, and what each has its own test for.
func faults() []fault {
	return []fault{
		{"a broker is killed (-9) and comes back", killBroker},
		{"the active controller is killed (-9) and comes back", killController},
		{"all brokers restart one at a time", rollBrokers},
		{"two of three brokers are down", twoDown},
		{"a broker freezes", freezeBroker},
		{"a broker's disk is full", fillDisk},
		{"the network is slow", slowNetwork},
		{"all connections are cut again and again", cutNetwork},
		{"a broker answers nobody", stallBroker},
		{"no broker can be reached", isolateBrokers},
		{"consumers join and leave every second", rebalanceStorm},
		{"management-api is killed (-9)", kill("management-api")},
		{"the consumer is killed (-9)", kill("consumer")},
		{"web-server restarts", restart("web-server")},
		{"the database goes away and comes back", loseDatabase},
	}
}

// pause waits, or less when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func killBroker(ctx context.Context, s *stage, random *rand.Rand) error {
	return killNode(ctx, s, random.IntN(s.brokers.Nodes()))
}

func killNode(ctx context.Context, s *stage, node int) error {
	if err := s.brokers.Kill(node); err != nil {
		return err
	}
	pause(ctx, 5*time.Second)
	if err := s.brokers.StartNode(node); err != nil {
		return err
	}
	return s.brokers.AwaitInSync(ctx)
}

func killController(ctx context.Context, s *stage, _ *rand.Rand) error {
	node, err := s.brokers.Controller(ctx)
	if err != nil {
		return err
	}
	return killNode(ctx, s, node)
}

func rollBrokers(ctx context.Context, s *stage, _ *rand.Rand) error {
	for node := range s.brokers.Nodes() {
		if err := s.brokers.Stop(node); err != nil {
			return err
		}
		if err := s.brokers.StartNode(node); err != nil {
			return err
		}
		if err := s.brokers.AwaitBrokers(ctx, s.brokers.Nodes()); err != nil {
			return err
		}
		if err := s.brokers.AwaitInSync(ctx); err != nil {
			return err
		}
	}
	return nil
}

func twoDown(ctx context.Context, s *stage, random *rand.Rand) error {
	survivor := random.IntN(s.brokers.Nodes())
	var down []int
	for node := range s.brokers.Nodes() {
		if node != survivor {
			down = append(down, node)
		}
	}
	for _, node := range down {
		if err := s.brokers.Kill(node); err != nil {
			return err
		}
	}
	pause(ctx, 10*time.Second)
	for _, node := range down {
		if err := s.brokers.StartNode(node); err != nil {
			return err
		}
	}
	return s.brokers.AwaitInSync(ctx)
}

func freezeBroker(ctx context.Context, s *stage, random *rand.Rand) error {
	node := random.IntN(s.brokers.Nodes())
	if err := s.brokers.Pause(node); err != nil {
		return err
	}
	pause(ctx, 15*time.Second) // longer than the broker's session
	if err := s.brokers.Resume(node); err != nil {
		return err
	}
	return s.brokers.AwaitInSync(ctx)
}

func fillDisk(ctx context.Context, s *stage, random *rand.Rand) error {
	node := random.IntN(s.brokers.Nodes())
	if err := s.brokers.LimitFileSize(node, 0); err != nil {
		return err
	}
	pause(ctx, 8*time.Second)
	// A broker whose only log directory failed ends itself; either way it
	// starts anew, as its pod would, with room on the disk.
	if err := s.brokers.Kill(node); err != nil {
		return err
	}
	if err := s.brokers.StartNode(node); err != nil {
		return err
	}
	return s.brokers.AwaitInSync(ctx)
}

func slowNetwork(ctx context.Context, s *stage, _ *rand.Rand) error {
	s.network.each(func(p *proxy) { p.slow(300 * time.Millisecond) })
	pause(ctx, 8*time.Second)
	s.network.each(func(p *proxy) { p.slow(0) })
	return nil
}

func cutNetwork(ctx context.Context, s *stage, random *rand.Rand) error {
	for range 10 {
		s.network.each(func(p *proxy) {
			if random.IntN(2) == 0 {
				p.cut()
			}
		})
		pause(ctx, 700*time.Millisecond)
	}
	return nil
}

func isolateBrokers(ctx context.Context, s *stage, _ *rand.Rand) error {
	s.network.each(func(p *proxy) { p.shut(true) })
	pause(ctx, 8*time.Second)
	s.network.each(func(p *proxy) { p.shut(false) })
	return nil
}

func stallBroker(ctx context.Context, s *stage, random *rand.Rand) error {
	node := random.IntN(s.brokers.Nodes())
	index := 0
	on := func(stalled bool) {
		index = 0
		s.network.each(func(p *proxy) {
			if index == node {
				p.stall(stalled)
			}
			index++
		})
	}
	on(true)
	pause(ctx, 10*time.Second)
	on(false)
	return nil
}

func rebalanceStorm(ctx context.Context, s *stage, random *rand.Rand) error {
	for round := range 6 {
		for _, service := range []string{"management-api", "consumer"} {
			name := fmt.Sprintf("%s-extra", service)
			if err := s.platform.start(name, service, "TRANSACTIONAL_ID="+name); err != nil {
				return err
			}
		}
		pause(ctx, time.Second)
		// Every other member leaves without a word.
		signal := syscall.SIGTERM
		if (round+random.IntN(2))%2 == 0 {
			signal = syscall.SIGKILL
		}
		for _, service := range []string{"management-api", "consumer"} {
			if err := s.platform.end(service+"-extra", signal); err != nil {
				return err
			}
		}
	}
	return nil
}

func kill(name string) func(context.Context, *stage, *rand.Rand) error {
	return func(ctx context.Context, s *stage, random *rand.Rand) error {
		for range 3 {
			pause(ctx, time.Second+time.Duration(random.Int64N(int64(time.Second))))
			if err := errors.Join(s.platform.end(name, syscall.SIGKILL), s.platform.restart(name)); err != nil {
				return err
			}
		}
		return s.platform.awaitReady(ctx, name)
	}
}

func restart(name string) func(context.Context, *stage, *rand.Rand) error {
	return func(ctx context.Context, s *stage, _ *rand.Rand) error {
		if err := errors.Join(s.platform.end(name, syscall.SIGTERM), s.platform.restart(name)); err != nil {
			return err
		}
		return s.platform.awaitReady(ctx, name)
	}
}

func loseDatabase(ctx context.Context, s *stage, _ *rand.Rand) error {
	s.database.Close()
	pause(ctx, 8*time.Second)
	return s.startDatabase()
}
