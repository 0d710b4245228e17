package main

import (
	"context"
	"math/rand/v2"
	"time"

	"shopstream/services/internal/retry"
)

func slowNetwork(ctx context.Context, s *stage, _ *rand.Rand) error {
	s.network.each(func(p *proxy) { p.slow(300 * time.Millisecond) })
	retry.Sleep(ctx, 8*time.Second)
	s.network.each(func(p *proxy) { p.slow(0) })
	return nil
}

func slowBroker(ctx context.Context, s *stage, random *rand.Rand) error {
	link := s.network.broker(random.IntN(s.brokers.Nodes()))
	link.slow(time.Second)
	retry.Sleep(ctx, 10*time.Second)
	link.slow(0)
	return nil
}

func losePackets(ctx context.Context, s *stage, _ *rand.Rand) error {
	s.network.each(func(p *proxy) { p.lose(0.1) })
	retry.Sleep(ctx, 10*time.Second)
	s.network.each(func(p *proxy) { p.lose(0) })
	return nil
}

func cutNetwork(ctx context.Context, s *stage, random *rand.Rand) error {
	for range 10 {
		s.network.each(func(p *proxy) {
			if random.IntN(2) == 0 {
				p.cut()
			}
		})
		retry.Sleep(ctx, 700*time.Millisecond)
	}
	return nil
}

func isolateBrokers(ctx context.Context, s *stage, _ *rand.Rand) error {
	s.network.each(func(p *proxy) { p.shut(true) })
	retry.Sleep(ctx, 8*time.Second)
	s.network.each(func(p *proxy) { p.shut(false) })
	return nil
}

func stallBroker(ctx context.Context, s *stage, random *rand.Rand) error {
	link := s.network.broker(random.IntN(s.brokers.Nodes()))
	link.stall(true)
	retry.Sleep(ctx, 10*time.Second)
	link.stall(false)
	return nil
}

// partBroker partitions a broker from the others, but not from its clients: it can no
// longer replicate records, and must not acknowledge them.
func partBroker(ctx context.Context, s *stage, random *rand.Rand) error {
	node := random.IntN(s.brokers.Nodes())
	s.network.part(node, true)
	retry.Sleep(ctx, 20*time.Second) // until it is fenced
	s.network.part(node, false)
	return s.brokers.AwaitInSync(ctx)
}

// partController does the same to the leader of the controllers.
func partController(ctx context.Context, s *stage, _ *rand.Rand) error {
	node, err := s.brokers.Controller(ctx)
	if err != nil {
		return err
	}
	s.network.part(node, true)
	retry.Sleep(ctx, 20*time.Second)
	s.network.part(node, false)
	return s.brokers.AwaitInSync(ctx)
}
