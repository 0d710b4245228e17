package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// phase is how far the node beside a guard is on its way to its end.
type phase string

const (
	running  phase = "running"
	waiting  phase = "waiting"  // told to stop; the cluster can't do without it yet, or it is another's turn
	claiming phase = "claiming" // the cluster could do without it; looking whether another one claims that, too
	stopping phase = "stopping" // let go
)

// told reports that the node is about to end, now or later.
func (p phase) told() bool { return p != running }

// status is what guards tell one another, and people.
type status struct {
	Node   int32  `json:"node"`
	Phase  phase  `json:"phase"`
	Reason string `json:"reason,omitempty"` // why it waits
}

// turn lets one node of a pool stop at a time, and none before the cluster can
// do without it.
type turn struct {
	id    int32
	every time.Duration // between two looks
	alone time.Duration // how long to wait for nodes that are unreachable when all others are told to stop
	look  func(context.Context) (view, error)
	peers peers
	log   *slog.Logger

	free time.Time // since when it lets others go first

	mu    sync.Mutex
	state status
	gone  bool // the node has ended since it was let go
}

// peers asks the guards beside the pool's other nodes.
type peers interface {
	// ask returns the status of those that answer, and the ids of all that
	// there should be.
	ask(context.Context) (answers []status, all []int32)
}

func (t *turn) status() status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

// set notes the phase and logs what is new.
func (t *turn) set(p phase, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state.Phase == p && t.state.Reason == reason {
		return
	}
	if p != claiming {
		t.log.Info("the node has another phase", "node", t.id, "phase", p, "reason", reason)
	}
	t.state = status{Node: t.id, Phase: p, Reason: reason}
}

// await returns once the node may stop, or with ctx's error.
func (t *turn) await(ctx context.Context) error {
	if t.status().Phase == stopping {
		return nil
	}
	t.set(waiting, "it has just been told to stop")
	var since time.Time // of there being nobody left to wait for
	for {
		v, err := t.look(ctx)
		answers, all := t.peers.ask(ctx)
		if t.last(v, answers, all, &since) {
			t.set(stopping, "every other node is about to stop, too: the cluster is being removed")
			return nil
		}
		if err == nil {
			err = t.try(ctx, v)
		}
		if err == nil {
			t.set(stopping, "the cluster can do without it")
			return nil
		}
		t.set(waiting, err.Error())
		select {
		case <-ctx.Done():
			t.set(running, "nobody waits for its end any more")
			return fmt.Errorf("waiting for the node's turn: %w (last: %w)", ctx.Err(), err)
		case <-time.After(t.every):
		}
	}
}

// last reports that everybody else is about to stop, so that waiting would get
// nobody anything. A guard that doesn't answer may have stopped already, or be
// about to come back: that is waited for, and longer than any time while a
// broker beside this one answers.
func (t *turn) last(v view, answers []status, all []int32, since *time.Time) bool {
	told := !slices.ContainsFunc(answers, func(s status) bool { return !s.Phase.told() })
	switch {
	case !told:
		*since = time.Time{}
		return false
	case len(answers) == len(all):
		return true
	case slices.ContainsFunc(v.answers, func(a answer) bool { return a.from != t.id }):
		*since = time.Time{}
		return false
	case since.IsZero():
		*since = time.Now()
	}
	return time.Since(*since) >= t.alone
}

// try takes the turn, or says why it can't. Two guards that claim it at once see
// each other, since each looks after it has claimed: the higher id steps back.
func (t *turn) try(ctx context.Context, v view) error {
	if err := mayStop(v, t.id); err != nil {
		return err
	}
	if err := t.letOthersGo(ctx, v); err != nil {
		return err
	}
	t.set(claiming, "")
	for {
		answers, _ := t.peers.ask(ctx)
		others := slices.DeleteFunc(answers, func(s status) bool { return s.Phase != stopping && s.Phase != claiming })
		if len(others) == 0 {
			return nil
		}
		first := slices.MinFunc(others, func(a, b status) int {
			return cmp.Or(cmp.Compare(rank(a.Phase), rank(b.Phase)), cmp.Compare(a.Node, b.Node))
		})
		if first.Phase == stopping || first.Node < t.id {
			return fmt.Errorf("it is the turn of node %d", first.Node)
		}
		// The other one steps back as soon as it looks, or has stopped looking.
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(t.every / 10):
		}
	}
}

// letOthersGo keeps the active controller back while other nodes wait, so that
// its office moves once, to a node that needn't end any more. It holds nobody up
// for ever: those others may be waiting for something that only time brings.
func (t *turn) letOthersGo(ctx context.Context, v view) error {
	if v.quorum.leader != t.id {
		return nil
	}
	answers, _ := t.peers.ask(ctx)
	i := slices.IndexFunc(answers, func(s status) bool { return s.Phase == waiting })
	switch {
	case i < 0:
		t.free = time.Time{}
		return nil
	case t.free.IsZero():
		t.free = time.Now()
	}
	if time.Since(t.free) >= t.alone {
		return nil
	}
	return fmt.Errorf("it is the active controller, which goes last, and node %d waits", answers[i].Node)
}

// rank puts those that are let go before those that claim it.
func rank(p phase) int {
	if p == stopping {
		return 0
	}
	return 1
}

// observe takes what a look at the node has shown. One that was let go, went and
// is in order again was started anew in its pod.
func (t *turn) observe(fault error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.state.Phase != stopping:
		t.gone = false
	case fault != nil:
		t.gone = true
	case t.gone:
		t.gone = false
		t.state = status{Node: t.id, Phase: running}
		t.log.Info("the node is back", "node", t.id)
	}
}
