package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// pool is guards that ask one another without a network. One that is down doesn't
// answer.
type pool struct {
	turns []*turn
	down  []atomic.Bool
}

func newPool(count int, look func(context.Context) (view, error)) *pool {
	p := &pool{down: make([]atomic.Bool, count)}
	for id := range int32(count) {
		p.turns = append(p.turns, &turn{
			id: id, every: 10 * time.Millisecond, alone: 300 * time.Millisecond, look: look, peers: member{p, id},
			log: slog.New(slog.DiscardHandler), state: status{Node: id, Phase: running},
		})
	}
	return p
}

type member struct {
	pool *pool
	id   int32
}

func (m member) ask(context.Context) (answers []status, all []int32) {
	for id, other := range m.pool.turns {
		if int32(id) == m.id {
			continue
		}
		all = append(all, int32(id))
		if !m.pool.down[id].Load() {
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond) // answers arrive at different times
			answers = append(answers, other.status())
		}
	}
	return answers, all
}

// fine is a healthy cluster whose active controller isn't in the pool.
func fine(context.Context) (view, error) {
	return view{answers: []answer{{}}, quorum: quorum{leader: 1000}}, nil
}

func TestOneStopsAtATime(t *testing.T) {
	for range 20 {
		p := newPool(3, fine) // node 0 is not told to stop, so that the cluster isn't being removed
		var stopped atomic.Int32
		var both sync.WaitGroup
		for _, turn := range p.turns[1:] {
			both.Go(func() {
				if err := turn.await(t.Context()); err != nil {
					t.Error(err)
				}
				if stopped.Add(1) > 1 {
					t.Error("two were let go at once")
				}
				time.Sleep(20 * time.Millisecond) // the node stops, starts and catches up
				stopped.Add(-1)
				turn.observe(errors.New("it doesn't answer"))
				turn.observe(nil)
			})
		}
		both.Wait()
	}
}

func TestTheActiveControllerStopsLast(t *testing.T) {
	p := newPool(3, func(context.Context) (view, error) {
		return view{answers: []answer{{}}, quorum: quorum{leader: 1}}, nil
	})
	p.turns[2].set(waiting, "it has just been told to stop")
	p.turns[1].alone = time.Hour
	let := make(chan error, 1)
	go func() { let <- p.turns[1].await(t.Context()) }()
	select {
	case err := <-let:
		t.Fatalf("it was let go before the others: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	p.turns[2].set(running, "")
	if err := <-let; err != nil {
		t.Error(err)
	}
}

func TestItWaitsUntilTheClusterCanDoWithoutIt(t *testing.T) {
	var inOrder atomic.Bool
	p := newPool(3, func(context.Context) (view, error) {
		if !inOrder.Load() {
			return view{}, errors.New("broker 0 is down")
		}
		return fine(t.Context())
	})
	done := make(chan error, 1)
	go func() { done <- p.turns[2].await(t.Context()) }()
	select {
	case err := <-done:
		t.Fatalf("it was let go: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	if s := p.turns[2].status(); s.Phase != waiting || s.Reason != "broker 0 is down" {
		t.Errorf("status: %+v", s)
	}
	inOrder.Store(true)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// As when the stack is destroyed: no node comes back, so none is waited for.
func TestAllStopIfAllAreToldTo(t *testing.T) {
	for name, dead := range map[string]int{"all answer": 3, "one has ended already": 0} {
		t.Run(name, func(t *testing.T) {
			p := newPool(3, func(context.Context) (view, error) { return view{}, errors.New("no broker answers") })
			var all sync.WaitGroup
			for id, turn := range p.turns {
				if id == dead {
					p.down[id].Store(true)
					continue
				}
				all.Go(func() {
					if err := turn.await(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		})
	}
}

func TestItRunsAgainIfTheStopIsCancelled(t *testing.T) {
	p := newPool(3, func(context.Context) (view, error) { return view{}, errors.New("not now") })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.turns[0].await(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v", err)
	}
	if s := p.turns[0].status(); s.Phase != running {
		t.Errorf("status: %+v", s)
	}
}
