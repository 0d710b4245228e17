package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/telemetry"
)

func run(ctx context.Context, arguments, environ []string, stdout io.Writer) error {
	cfg, err := envconf.Load[config](environ)
	if err != nil {
		return err
	}
	log := telemetry.NewLogger(stdout, cfg.Log, "topics")
	switch command := strings.Join(arguments, " "); command {
	case "":
		return declare(ctx, cfg, log)
	case "drain", "finalize", "features":
		client, err := cfg.Kafka.Direct("topics")
		if err != nil {
			return err
		}
		defer client.Close()
		m := newMover(client, log, cfg.Rate)
		switch command {
		case "drain":
			return m.drain(ctx, cfg.Brokers, cfg.Timeout)
		case "finalize":
			return m.finalize(ctx, cfg.Brokers, cfg.Soak)
		}
		return m.writeFeatures(ctx, stdout)
	default:
		return fmt.Errorf("unknown argument %q: use drain, finalize, features or none", command)
	}
}

// declare changes topics and the access list to what is declared, and places the
// partitions if BROKERS says how many brokers there are.
func declare(ctx context.Context, cfg config, log *slog.Logger) error {
	declared, err := parseTopics(cfg.Topics)
	if err != nil {
		return err
	}
	access, err := parseAccess(cfg.ACLs)
	if err != nil {
		return err
	}
	c, err := connect(cfg.Kafka, cfg.External, log)
	if err != nil {
		return err
	}
	defer c.close()

	bounded := func() (context.Context, context.CancelFunc) {
		return context.WithTimeoutCause(ctx, cfg.Timeout, fmt.Errorf("topics and access list don't match the declaration after TIMEOUT (%s)", cfg.Timeout))
	}
	var refused error
	if len(access) > 0 {
		ctx, cancel := bounded()
		defer cancel()
		// Grants may name topics that don't exist yet.
		if refused = authorize(ctx, log, c, access); ctx.Err() != nil {
			return refused
		}
	}
	// Replicas come before the topics' config, so that no partition must have more of
	// them in sync than it has.
	var unplaced error
	if cfg.Brokers > 0 {
		unplaced = spread(ctx, cfg, declared, log)
	}
	ctx, cancel := bounded()
	defer cancel()
	outcomes, err := reconcile(ctx, log, c, declared)
	report(log, outcomes)
	return errors.Join(refused, unplaced, err)
}

// spread places the partitions, and unregisters removed brokers.
func spread(ctx context.Context, cfg config, declared []topic, log *slog.Logger) error {
	client, err := cfg.Kafka.Direct("topics")
	if err != nil {
		return err
	}
	defer client.Close()
	m := newMover(client, log, cfg.Rate)
	factor, inSync := map[string]int{}, 0
	for _, t := range declared {
		factor[t.name] = t.replication
		if n, err := strconv.Atoi(t.config[minInSync]); err == nil {
			inSync = max(inSync, n)
		}
	}
	if err := m.uncordon(ctx, cfg.Brokers, cfg.Timeout); err != nil {
		return err
	}
	if err := m.ensureInternal(ctx, cfg.Timeout); err != nil {
		return err
	}
	if err := m.spread(ctx, cfg.Brokers, factor, cfg.Timeout); err != nil {
		return err
	}
	return errors.Join(m.secure(ctx, inSync), m.forget(ctx, cfg.Brokers, cfg.Timeout))
}

// report logs one line per topic with what was done.
func report(log *slog.Logger, outcomes []*outcome) {
	for _, o := range outcomes {
		attrs := []any{"topic", o.topic.name, "outcome", o.String(), "partitions", o.topic.partitions, "replication_factor", o.topic.replication}
		if o.grownFrom > 0 {
			attrs = append(attrs, "partitions_before", o.grownFrom)
		}
		if o.err != nil {
			log.Error("topic", append(attrs, "error", o.err)...)
			continue
		}
		if len(o.differs) > 0 {
			log.Warn("topic", append(attrs, "differs", o.differs, "refused", o.refusals())...)
			continue
		}
		log.Info("topic", attrs...)
	}
}
