package main

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxLag is how far a controller may be behind the leader and still count as caught up.
// It is Kafka's controller.quorum.fetch.timeout.ms, after which it gives up a leader.
const maxLag = 2 * time.Second

// mayStop returns why the cluster can't do without a node now, or nil.
func mayStop(v view, id int32) error {
	if len(v.answers) == 0 {
		return errors.New("no broker answers")
	}
	var reasons []error
	for _, a := range v.answers {
		if err := availableWithout(a, id, v.silent); err != nil {
			reasons = append(reasons, fmt.Errorf("broker %d says: %w", a.from, err))
		}
	}
	return errors.Join(append(reasons, majorityWithout(v.quorum, id, v.silent))...)
}

// availableWithout returns an error if a partition would accept no writes without the
// broker.
func availableWithout(a answer, id int32, silent []int32) error {
	for _, p := range a.partitions {
		if !slices.Contains(p.isr, id) {
			continue // it has no replica there
		}
		if len(p.replicas)-len(p.adding) <= p.minISR {
			continue // it needs all of its replicas, and waiting doesn't change that
		}
		if left := len(without(p.isr, append(slices.Clone(silent), id))); left < p.minISR {
			return fmt.Errorf("partition %d of %q would have %d of %d replicas in sync, but needs %d", p.number, p.topic, left, len(p.replicas), p.minISR)
		}
	}
	return nil
}

// majorityWithout returns an error if the other controllers would have no majority.
func majorityWithout(q quorum, id int32, silent []int32) error {
	if !q.has(id) || len(q.voters) == 1 {
		return nil // it has no vote, or the only one, and waiting doesn't change that
	}
	current := caughtUp(q)
	if !slices.Contains(current, id) {
		return nil // it doesn't take part in the quorum anyway
	}
	majority := len(q.voters)/2 + 1
	if others := len(without(current, append(slices.Clone(silent), id))); others < majority {
		return fmt.Errorf("only %d of %d controllers would have caught up, but %d are needed", others, len(q.voters), majority)
	}
	return nil
}

func without(ids, others []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(ids), func(id int32) bool { return slices.Contains(others, id) })
}

// caughtUp returns the voters that have everything that the leader has, and the leader.
func caughtUp(q quorum) []int32 {
	var newest time.Time
	for _, v := range q.voters {
		if v.caughtUp.After(newest) {
			newest = v.caughtUp
		}
	}
	var ids []int32
	for _, v := range q.voters {
		if v.id == q.leader || !v.caughtUp.IsZero() && newest.Sub(v.caughtUp) < maxLag {
			ids = append(ids, v.id)
		}
	}
	return ids
}

// inSync returns why a broker has not caught up yet, or nil. The broker's own metadata is
// decisive: it knows only what it has caught up with.
func inSync(v view, id int32) error {
	for _, a := range v.answers {
		if a.from != id {
			continue
		}
		if !slices.Contains(a.brokers, id) {
			return errors.New("the broker is not registered, or fenced")
		}
		for _, p := range a.partitions {
			if slices.Contains(p.replicas, id) && !slices.Contains(p.adding, id) && !slices.Contains(p.isr, id) {
				return fmt.Errorf("its replica of partition %d of %q is not in sync", p.number, p.topic)
			}
		}
		return nil
	}
	return errors.New("the broker doesn't answer")
}

// votes returns why a controller doesn't take part in the quorum, or nil.
func votes(v view, id int32) error {
	if !slices.Contains(caughtUp(v.quorum), id) {
		return errors.New("the controller has not caught up with the leader")
	}
	return nil
}
