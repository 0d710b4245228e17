package main

import (
	"context"
	"errors"
	"io"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/health"
	"shopstream/services/internal/httpx"
	"shopstream/services/internal/lifecycle"
	"shopstream/services/internal/telemetry"
)

// run is the service. It returns once ctx has ended and everything is closed, or after
// a fatal error. It starts and keeps running while Kafka is unreachable.
func run(ctx context.Context, environ []string, stdout io.Writer) error {
	lifecycle.TuneRuntime(environ)
	cfg, err := envconf.Load[config](environ)
	if err != nil {
		return err
	}
	log := telemetry.NewLogger(stdout, cfg.Log, "api")
	reg := telemetry.NewRegistry()

	listener, err := httpx.Listen(ctx, cfg.Addr)
	if err != nil {
		return err
	}
	readers, err := newPool(cfg.Kafka, cfg.ReadConcurrency)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	kafka, err := newCluster(cfg.Kafka)
	if err != nil {
		return errors.Join(err, listener.Close())
	}

	h := health.New(reg, health.Check{Name: "kafka", Probe: cfg.Kafka.Watch(log, kafka.reachable)})
	engine := httpx.NewEngine(log, reg, h)
	if err := newServer(cfg, kafka, readers, h, log, reg).routes(engine); err != nil {
		return errors.Join(err, listener.Close())
	}

	return lifecycle.Run(ctx, log, cfg.HTTP.ShutdownTimeout,
		httpx.Server(log, cfg.HTTP, listener, engine, h),
		lifecycle.Actor{Name: "readers", Run: readers.Run},
		lifecycle.Actor{Name: "health", Run: h.Run}, // its probe uses the next actor's client
		lifecycle.Actor{Name: "admin client", Run: kafka.Run},
	)
}
