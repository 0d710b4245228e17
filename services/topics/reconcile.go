package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"shopstream/services/internal/retry"
)

// pause lies between two looks at the cluster.
const pause = 250 * time.Millisecond

// outcome is what became of one declared topic.
type outcome struct {
	topic        topic
	created      bool
	grownFrom    int
	reconfigured bool
	// pending is why it isn't there yet.
	pending string
	// err is why it won't be.
	err     error
	settled bool
}

func (o *outcome) String() string {
	var did []string
	if o.created {
		did = append(did, "created")
	}
	if o.grownFrom > 0 {
		did = append(did, "grown")
	}
	if o.reconfigured {
		did = append(did, "reconfigured")
	}
	switch {
	case o.err != nil:
		did = append(did, "failed")
	case !o.settled:
		did = append(did, "not there yet")
	case len(did) == 0:
		return "unchanged"
	}
	return strings.Join(did, ", ")
}

// reconcile looks, changes what differs and looks again, until every topic is
// what was declared or is known not to become so. As it acts only on what it
// has just seen, it may run any number of times, also beside itself.
func reconcile(ctx context.Context, log *slog.Logger, c *cluster, declared []topic) ([]*outcome, error) {
	outcomes := make([]*outcome, len(declared))
	for i, t := range declared {
		outcomes[i] = &outcome{topic: t, pending: "no broker has answered"}
	}
	var problem error // of the last round as a whole
	for {
		problem = round(ctx, c, outcomes)
		if problem == nil && len(open(outcomes)) == 0 {
			break
		}
		if problem != nil {
			log.Debug("trying again", "error", problem)
		}
		if !retry.Sleep(ctx, pause) {
			return outcomes, unfinished(context.Cause(ctx), outcomes, problem)
		}
	}
	var errs []error
	for _, o := range outcomes {
		errs = append(errs, o.err)
	}
	return outcomes, errors.Join(errs...)
}

// round makes one look and the changes that it asks for.
func round(ctx context.Context, c *cluster, outcomes []*outcome) error {
	left := open(outcomes)
	if len(left) == 0 {
		return nil
	}
	var declared []topic
	for _, o := range left {
		declared = append(declared, o.topic)
	}
	brokers, now, err := c.read(ctx, declared)
	if err != nil {
		return err
	}

	var missing []topic
	growth := map[string]int{}
	configs := map[string]plan{}
	for _, o := range left {
		name := o.topic.name
		p := planFor(o.topic, now[name], brokers)
		if o.reconfigured {
			// Acknowledged once is done: brokers may answer in a spelling of
			// their own, or keep an override that they set themselves.
			p.set, p.reset = nil, nil
		}
		o.pending, o.err = p.waiting, p.refused
		// Only what a look has confirmed counts as done.
		o.settled = p.done()
		if p.create {
			missing = append(missing, o.topic)
		}
		if p.growTo > 0 {
			growth[name] = p.growTo
		}
		if len(p.set)+len(p.reset) > 0 {
			configs[name] = p
		}
	}

	var errs []error
	apply := func(wanted bool, change func() (map[string]error, error), touches func(string) bool, note func(*outcome)) {
		if !wanted {
			return
		}
		failures, err := change()
		if err != nil {
			errs = append(errs, err)
			return
		}
		for _, o := range left {
			name := o.topic.name
			switch err := failures[name]; {
			case !touches(name), raced(err): // the next look tells
			case err == nil:
				note(o)
			case final(err):
				o.err = fmt.Errorf("topic %q: the broker refuses: %w", name, err)
			default:
				o.pending = err.Error()
			}
		}
	}
	apply(len(missing) > 0,
		func() (map[string]error, error) { return c.create(ctx, missing) },
		func(name string) bool { return now[name] == nil },
		func(o *outcome) { o.created = true })
	apply(len(growth) > 0,
		func() (map[string]error, error) { return c.grow(ctx, growth) },
		func(name string) bool { return growth[name] > 0 },
		func(o *outcome) { o.grownFrom = now[o.topic.name].partitions })
	apply(len(configs) > 0,
		func() (map[string]error, error) { return c.configure(ctx, configs) },
		func(name string) bool { _, wanted := configs[name]; return wanted },
		func(o *outcome) { o.reconfigured = true })
	return errors.Join(errs...)
}

// open are the topics that still may become what was declared.
func open(outcomes []*outcome) []*outcome {
	var left []*outcome
	for _, o := range outcomes {
		if !o.settled && o.err == nil {
			left = append(left, o)
		}
	}
	return left
}

func unfinished(cause error, outcomes []*outcome, problem error) error {
	errs := []error{cause}
	if problem != nil {
		errs = append(errs, problem)
	}
	for _, o := range outcomes {
		switch {
		case o.err != nil:
			errs = append(errs, o.err)
		case !o.settled && o.pending != "":
			errs = append(errs, fmt.Errorf("topic %q: %s", o.topic.name, o.pending))
		case !o.settled:
			errs = append(errs, fmt.Errorf("topic %q: a change was made, but is not to be seen yet", o.topic.name))
		}
	}
	return errors.Join(errs...)
}
