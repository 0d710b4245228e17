package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"shopstream/services/internal/retry"
)

func rebalanceStorm(ctx context.Context, s *stage, random *rand.Rand) error {
	for round := range 6 {
		for _, service := range []string{"management-api", "consumer"} {
			name := fmt.Sprintf("%s-extra", service)
			if err := s.platform.start(name, service, "TRANSACTIONAL_ID="+name); err != nil {
				return err
			}
		}
		retry.Sleep(ctx, time.Second)
		// Every second member is killed instead of stopped.
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
			retry.Sleep(ctx, time.Second+time.Duration(random.Int64N(int64(time.Second))))
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

// freezeMember suspends an instance for longer than its session and its transaction last,
// while another member of the group takes over. It then resumes in the middle of its work.
func freezeMember(name string, environ ...string) func(context.Context, *stage, *rand.Rand) error {
	return func(ctx context.Context, s *stage, _ *rand.Rand) error {
		heir := name + "-heir"
		if err := s.platform.freeze(name); err != nil {
			return err
		}
		if err := s.platform.start(heir, name, environ...); err != nil {
			return err
		}
		retry.Sleep(ctx, 25*time.Second)
		if err := s.platform.thaw(name); err != nil {
			return err
		}
		retry.Sleep(ctx, 5*time.Second)
		if err := s.platform.end(heir, syscall.SIGTERM); err != nil {
			return err
		}
		return s.platform.awaitReady(ctx, name)
	}
}

// fenceProducer starts a second consumer with the transactional id of the first, which
// may then commit nothing any more, and ends.
func fenceProducer(ctx context.Context, s *stage, _ *rand.Rand) error {
	before := s.platform.restarts()
	if err := s.platform.start("consumer-twin", "consumer", "TRANSACTIONAL_ID="+transactionalID); err != nil {
		return err
	}
	for s.platform.restarts() == before && ctx.Err() == nil {
		retry.Sleep(ctx, 50*time.Millisecond)
	}
	if err := s.platform.end("consumer-twin", syscall.SIGTERM); err != nil {
		return err
	}
	return s.platform.awaitReady(ctx, "consumer")
}

// redeploy replaces every member of a group by a new one that is already running, as a
// rolling update does.
func redeploy(ctx context.Context, s *stage, _ *rand.Rand) error {
	for _, name := range []string{"management-api", "consumer"} {
		next := name + "-next"
		if err := s.platform.start(next, name, "TRANSACTIONAL_ID="+next); err != nil {
			return err
		}
		if err := s.platform.awaitReady(ctx, next); err != nil {
			return err
		}
		if err := errors.Join(s.platform.end(name, syscall.SIGTERM), s.platform.restart(name)); err != nil {
			return err
		}
		if err := s.platform.awaitReady(ctx, name); err != nil {
			return err
		}
		if err := s.platform.end(next, syscall.SIGTERM); err != nil {
			return err
		}
	}
	return nil
}
