package main

import (
	"context"
	"io"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/health"
	"shopstream/services/internal/httpx"
	"shopstream/services/internal/lifecycle"
	"shopstream/services/internal/otlp"
	"shopstream/services/internal/telemetry"
)

func run(ctx context.Context, environ []string, stdout io.Writer) error {
	lifecycle.TuneRuntime(environ)
	cfg, err := envconf.Load[config](environ)
	if err != nil {
		return err
	}
	id, err := cfg.transactionalID()
	if err != nil {
		return err
	}
	log := telemetry.NewLogger(stdout, cfg.Log, "consumer")
	reg := telemetry.NewRegistry()
	tracer := otlp.New(cfg.Trace, "consumer", log, reg)

	listener, err := httpx.Listen(ctx, cfg.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // the server has closed it, unless it never ran
	txn, err := newTransactor(cfg, id, log)
	if err != nil {
		return err
	}
	worker, err := newWorker(cfg, txn, tracer, log, reg)
	if err != nil {
		txn.client.Close()
		return err
	}
	h := health.New(reg,
		health.Check{Name: "kafka", Probe: cfg.Kafka.Watch(log, cfg.Kafka.Probe(txn.client, cfg.needs()...))},
		health.Check{Name: "orders", Probe: worker.reader.Probe},
		health.Check{Name: "totals", Probe: worker.restorer.totals.Probe},
	)

	return lifecycle.Run(ctx, log, cfg.HTTP.ShutdownTimeout,
		httpx.Server(log, cfg.HTTP, listener, httpx.NewEngine(log, reg, h), h),
		lifecycle.Actor{Name: "worker", Run: worker.run},
		lifecycle.Actor{Name: "health", Run: h.Run}, // before the client that it uses
		lifecycle.Actor{Name: "transactions", Run: txn.run, Stop: txn.stop},
		tracer.Actor(),
	)
}
