package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/telemetry"
)

func run(ctx context.Context, environ []string, stdout io.Writer) error {
	cfg, err := envconf.Load[config](environ)
	if err != nil {
		return err
	}
	declared, err := parseTopics(cfg.Topics)
	if err != nil {
		return err
	}
	access, err := parseAccess(cfg.ACLs)
	if err != nil {
		return err
	}
	log := telemetry.NewLogger(stdout, cfg.Log, "topics")

	c, err := connect(cfg.Kafka, cfg.External, log)
	if err != nil {
		return err
	}
	defer c.close()

	ctx, cancel := context.WithTimeoutCause(ctx, cfg.Timeout, fmt.Errorf("topics and access list don't match the declaration after TIMEOUT (%s)", cfg.Timeout))
	defer cancel()
	var refused error
	if len(access) > 0 {
		// Grants may name topics that don't exist yet.
		if refused = authorize(ctx, log, c, access); ctx.Err() != nil {
			return refused
		}
	}
	outcomes, err := reconcile(ctx, log, c, declared)
	report(log, outcomes)
	return errors.Join(refused, err)
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
