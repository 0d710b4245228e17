package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"shopstream/services/internal/retry"
)

// trial is a load on a stage, with shoppers and orders, from its start to the audit of its
// results.
type trial struct {
	stage  *stage
	cancel context.CancelFunc
	ended  chan struct{}

	restarts int
	settled  int // purchases stored before
}

// result is the result of a trial.
type result struct {
	tally
	audit
	reads reads
	// New is how many purchases were stored during the trial.
	New int
	// Restarts counts the services that ended by themselves and were restarted. Crashed is
	// an error if one of them didn't end on purpose.
	Restarts int
	Crashed  error
	// Recovery is the time from the end of the fault to fifty more acknowledgements,
	// CatchUp that from the end of the load to consumers without lag.
	Recovery, CatchUp time.Duration
}

// begin starts orders and purchases, until the trial is concluded or ctx ends.
func (s *stage) begin(ctx context.Context) (*trial, error) {
	if s.ordersPerSecond > 0 {
		if err := s.platform.start("producer", "producer", fmt.Sprintf("RATE=%g", s.ordersPerSecond)); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	t := &trial{stage: s, cancel: cancel, ended: make(chan struct{}), restarts: s.platform.restarts(), settled: s.stored}
	s.reader.forget()
	go func() {
		defer close(t.ended)
		var all sync.WaitGroup
		all.Go(func() { s.shoppers.buy(ctx) })
		all.Go(func() { s.reader.read(ctx) })
		all.Go(func() { s.reader.readGroups(ctx) })
		all.Wait()
	}()
	return t, nil
}

// recover waits for fifty more acknowledged purchases, and returns how long that took.
func (t *trial) recover(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	before := t.stage.shoppers.acknowledged()
	for {
		more := t.stage.shoppers.acknowledged() - before
		if more >= 50 {
			return time.Since(start), nil
		}
		if time.Since(start) > time.Minute || ctx.Err() != nil {
			return 0, fmt.Errorf("%s after the fault only %d more purchases are acknowledged", time.Since(start).Round(time.Second), more)
		}
		retry.Sleep(ctx, 10*time.Millisecond)
	}
}

// conclude ends the load, waits until the consumers have caught up, and audits everything
// since the stage's first purchase, directly in the brokers and the database.
func (t *trial) conclude(ctx context.Context) (result, error) {
	s := t.stage
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	t.cancel()
	<-t.ended
	start := time.Now()
	if err := s.platform.endIfRunning("producer"); err != nil {
		return result{}, err
	}
	if err := s.brokers.AwaitInSync(ctx); err != nil {
		return result{}, err
	}
	if err := s.auditor.settle(ctx); err != nil {
		return result{}, err
	}
	r := result{tally: s.shoppers.tally, reads: s.reader.tally, CatchUp: time.Since(start)}
	if err := s.awaitReady(ctx); err != nil {
		return r, err
	}
	counted, err := s.auditor.audit(ctx, s.shoppers.ledger)
	if err != nil {
		return r, err
	}
	if err := s.auditor.checkMessages(ctx, s.platform.url("api"), counted); err != nil {
		return r, err
	}
	r.audit, r.New, r.Restarts = *counted, counted.Stored-t.settled, s.platform.restarts()-t.restarts
	r.Crashed = s.platform.crashed()
	s.stored = counted.Stored
	return r, nil
}

// faults lists the broken guarantees.
func (r *result) faults() error {
	return errors.Join(r.tally.faults(), r.reads.faults(), r.audit.faults(), r.Crashed)
}

// rows returns the result as lines of a table.
func (r *result) rows() [][2]string {
	return [][2]string{
		{"sent", fmt.Sprint(r.Sent)},
		{"acknowledged", fmt.Sprint(r.Acknowledged)},
		{"refused (503)", fmt.Sprint(r.Refused)},
		{"cut off", fmt.Sprint(r.Cut)},
		{"stored", fmt.Sprint(r.New)},
		{"duplicates", fmt.Sprint(len(r.Duplicates))},
		{"lost", fmt.Sprint(len(r.Lost))},
		{"out of order", fmt.Sprint(len(r.OutOfOrder))},
		{"dead letters", fmt.Sprint(r.DLQ)},
		{"orders", fmt.Sprint(r.Orders)},
		{"totals wrong", fmt.Sprint(len(r.Totals))},
		{"slowest refusal", r.SlowestRefusal.Round(time.Millisecond).String()},
		{"longest stall", r.Stall.Round(time.Millisecond).String()},
		{"caught up after", r.CatchUp.Round(time.Millisecond).String()},
		{"reads", fmt.Sprintf("%d answered, %d refused, slowest %s", r.reads.Answered, r.reads.Refused, r.reads.Slowest.Round(time.Millisecond))},
		{"listings of groups", fmt.Sprintf("%d answered, %d refused", r.reads.Groups, r.reads.NoGroups)},
		{"reads wrong", fmt.Sprint(len(r.reads.Wrong) + len(r.Messages))},
		{"restarts", fmt.Sprint(r.Restarts)},
	}
}
