package main

import (
	"context"
	"io"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/health"
	"shopstream/services/internal/httpx"
	"shopstream/services/internal/kafkax"
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
	log := telemetry.NewLogger(stdout, cfg.Log, "web-server")
	reg := telemetry.NewRegistry()
	tracer := otlp.New(cfg.Trace, "web-server", log, reg)

	shop, err := newShop(cfg.Currency, cfg.Places)
	if err != nil {
		return err
	}
	listener, err := httpx.Listen(ctx, cfg.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // the server has closed it, unless it never ran
	producer, err := kafkax.NewProducer(cfg.Kafka, cfg.producer(tracer), "web-server", log, reg)
	if err != nil {
		return err
	}
	management := newManagement(cfg.ManagementAPIURL, tracer)
	defer management.close()

	h := health.New(reg,
		health.Check{Name: "kafka", Probe: cfg.Kafka.Watch(log, producer.Probe(kafkax.Writes(cfg.PurchasesTopic)))},
		// Optional, because buying works without it.
		health.Check{Name: "management-api", Optional: true, Probe: management.ready},
	)
	engine := httpx.NewEngine(log, reg, h)
	server := newServer(cfg, producer, management, log)
	httpx.Trace(engine, tracer, true)
	addRoutes(engine, server, shop, newCheckout(server))

	return lifecycle.Run(ctx, log, cfg.HTTP.ShutdownTimeout,
		httpx.Server(log, cfg.HTTP, listener, engine, h), // first, so that buys in flight get their answer
		// Before the producer, because its probes use that client.
		lifecycle.Actor{Name: "health", Run: h.Run},
		lifecycle.Actor{Name: "producer", Run: producer.Run, Stop: producer.Stop},
		tracer.Actor(),
	)
}
