package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"shopstream/services/internal/retry"
)

// pause is the time between two readings of the cluster.
const pause = 250 * time.Millisecond

// outcome is the result for one declared topic.
type outcome struct {
	topic        topic
	created      bool
	grownFrom    int
	reconfigured bool
	// pending is why the topic doesn't match its declaration yet.
	pending string
	// err is why it never will.
	err     error
	settled bool

	// On a cluster that others own: the errors of refused changes, and how the topic
	// differs from its declaration.
	refused map[string]error
	differs []string
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
		did = append(did, "does not exist yet")
	case len(did) == 0:
		return "unchanged"
	}
	return strings.Join(did, ", ")
}

// refuse notes that the brokers refuse a change for good.
func (o *outcome) refuse(external bool, change string, err error) {
	if external {
		o.refused[change] = err // the next reading shows whether it is needed
		return
	}
	o.err = fmt.Errorf("topic %q: the broker refuses: %w", o.topic.name, err)
}

func (o *outcome) refusals() []string {
	var texts []string
	for _, change := range slices.Sorted(maps.Keys(o.refused)) {
		texts = append(texts, change+": "+o.refused[change].Error())
	}
	return texts
}

// reconcile reads the topics, changes what differs and reads them again, until every
// topic matches its declaration or is known never to do so. Since it acts only on
// what it has just read, it can be repeated, and several runs don't disturb each
// other.
func reconcile(ctx context.Context, log *slog.Logger, c *cluster, declared []topic) ([]*outcome, error) {
	outcomes := make([]*outcome, len(declared))
	for i, t := range declared {
		outcomes[i] = &outcome{topic: t, refused: map[string]error{}, pending: "no broker has answered"}
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

// round reads the topics once, and makes the changes that are necessary.
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
		p := c.planFor(o.topic, now[name], brokers)
		if o.reconfigured {
			// An acknowledged change is not repeated: brokers may report a value
			// in another spelling, or keep an override that they set themselves.
			p.set, p.reset = nil, nil
		}
		if c.external {
			o.verify(&p, now[name])
		}
		o.pending, o.err = p.waiting, p.refused
		// A topic is settled only once it has been read as declared.
		o.settled = p.done()
		if c.external && o.settled {
			o.observe(now[name])
		}
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
	apply := func(wanted bool, kind string, change func() (map[string]error, error), touches func(string) bool, note func(*outcome)) {
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
			case !touches(name), raced(err): // the next reading shows the result
			case err == nil:
				note(o)
			case final(err):
				o.refuse(c.external, kind, err)
			default:
				o.pending = err.Error()
			}
		}
	}
	apply(len(missing) > 0, creating,
		func() (map[string]error, error) { return c.create(ctx, missing) },
		func(name string) bool { return now[name] == nil },
		func(o *outcome) { o.created = true })
	apply(len(growth) > 0, growing,
		func() (map[string]error, error) { return c.grow(ctx, growth) },
		func(name string) bool { return growth[name] > 0 },
		func(o *outcome) { o.grownFrom = now[o.topic.name].partitions })
	apply(len(configs) > 0, configuring,
		func() (map[string]error, error) { return c.configure(ctx, configs) },
		func(name string) bool { _, wanted := configs[name]; return wanted },
		func(o *outcome) { o.reconfigured = true })
	return errors.Join(errs...)
}

// open returns the topics that don't match their declaration yet, but still may.
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
			errs = append(errs, fmt.Errorf("topic %q: a change was made, but the brokers don't report it yet", o.topic.name))
		}
	}
	return errors.Join(errs...)
}
