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

// phase is what a guard's node is doing about stopping.
type phase string

const (
	running  phase = "running"
	waiting  phase = "waiting"  // told to stop; the cluster can't do without it yet, or it is another's turn
	claiming phase = "claiming" // the cluster can do without it; checking whether another node claims its turn too
	stopping phase = "stopping" // may stop now
)

// told reports whether the node has been told to stop.
func (p phase) told() bool { return p != running }

// status is what guards tell one another, and operators.
type status struct {
	Node   int32  `json:"node"`
	Phase  phase  `json:"phase"`
	Reason string `json:"reason,omitempty"` // why it waits
}

// turn lets one node of a pool stop at a time, and only if the cluster can do without
// it.
type turn struct {
	id    int32
	every time.Duration // between two checks
	alone time.Duration // how long to wait for nodes that are unreachable when all others are told to stop
	look  func(context.Context) (view, error)
	peers peers
	log   *slog.Logger

	free time.Time // since when it lets others stop first

	mu    sync.Mutex
	state status
	gone  bool // the node has stopped since it was allowed to
}

// peers asks the guards of the pool's other nodes.
type peers interface {
	// ask returns the status of the guards that answer, and the ids of all nodes that
	// should exist.
	ask(context.Context) (answers []status, all []int32)
}

func (t *turn) status() status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

// set records the phase and logs changes.
func (t *turn) set(p phase, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state.Phase == p && t.state.Reason == reason {
		return
	}
	if p != claiming {
		t.log.Info("phase changed", "node", t.id, "phase", p, "reason", reason)
	}
	t.state = status{Node: t.id, Phase: p, Reason: reason}
}

// await returns nil once the node may stop, or ctx's error.
func (t *turn) await(ctx context.Context) error {
	if t.status().Phase == stopping {
		return nil
	}
	t.set(waiting, "it has just been told to stop")
	var since time.Time // since when there has been no node left to wait for
	for {
		v, err := t.look(ctx)
		answers, all := t.peers.ask(ctx)
		if t.last(v, answers, all, &since) {
			t.set(stopping, "every other node is about to stop too: the cluster is being removed")
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
			t.set(running, "the request to stop was cancelled")
			return fmt.Errorf("waiting for the node's turn: %w (last: %w)", ctx.Err(), err)
		case <-time.After(t.every):
		}
	}
}

// last reports whether all other nodes are about to stop, so that waiting is pointless.
// A guard that doesn't answer may have stopped, or may come back: it is waited for, and
// without a time limit while another broker answers.
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

// try takes the turn, or returns why it can't. Two guards that claim it at once notice
// each other, since each checks after it has claimed: the higher id steps back.
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
		// The other one steps back at its next check, or no longer checks.
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(t.every / 10):
		}
	}
}

// letOthersGo makes the active controller wait while other nodes wait, so that its role
// moves only once, to a node that needn't stop any more. It doesn't wait forever: the
// others may be waiting for something that only takes time.
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
	return fmt.Errorf("it is the active controller, which stops last, and node %d is waiting", answers[i].Node)
}

// rank puts those that may stop before those that claim their turn.
func rank(p phase) int {
	if p == stopping {
		return 0
	}
	return 1
}

// observe evaluates a check of the node. A node that was allowed to stop, stopped and is
// in sync again has been restarted in its pod.
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
