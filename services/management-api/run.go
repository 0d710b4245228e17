package main

import (
	"context"
	"io"
	"time"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/health"
	"shopstream/services/internal/httpx"
	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/lifecycle"
	"shopstream/services/internal/mongox"
	"shopstream/services/internal/otlp"
	"shopstream/services/internal/telemetry"
)

// disconnectTimeout bounds disconnecting from the database. If that is unreachable,
// disconnecting would wait for as long as a request does.
const disconnectTimeout = time.Second

func run(ctx context.Context, environ []string, stdout io.Writer) error {
	lifecycle.TuneRuntime(environ)
	cfg, err := envconf.Load[config](environ)
	if err != nil {
		return err
	}
	log := telemetry.NewLogger(stdout, cfg.Log, "management-api")
	reg := telemetry.NewRegistry()
	tracer := otlp.New(cfg.Trace, "management-api", log, reg)

	listener, err := httpx.Listen(ctx, cfg.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // the server has closed it, unless it never ran
	// No client waits for its server: Kafka and the database may start later, in
	// either order.
	database, err := mongox.Connect(cfg.Mongo, tracer, mongox.NewMembers(reg).Options())
	if err != nil {
		return err
	}
	producer, err := newLetterProducer(cfg.Kafka, cfg.Topics.DeadLetters, cfg.BatchSize, tracer, log, reg)
	if err != nil {
		return err
	}
	store := newStore(database, cfg.Mongo.Database, cfg.Mongo.Collection)
	consumer, err := newConsumer(cfg, store, newWriter(cfg, store, producer, log, reg), tracer, log, reg)
	if err != nil {
		return err
	}
	h := health.New(reg,
		health.Check{Name: "kafka", Probe: cfg.Kafka.Watch(log, producer.Probe(
			kafkax.Reads(cfg.Topics.Purchases), kafkax.Writes(cfg.Topics.DeadLetters), kafkax.Joins(cfg.GroupID)))},
		health.Check{Name: "purchases", Probe: consumer.reader.Probe},
		health.Check{Name: "mongo", Probe: mongox.Ping(database)},
	)
	engine := httpx.NewEngine(log, reg, h)
	httpx.Trace(engine, tracer, false) // web-server decides
	addRoutes(engine, newLookups(store, cfg.Topics, log))

	return lifecycle.Run(ctx, log, cfg.HTTP.ShutdownTimeout,
		httpx.Server(log, cfg.HTTP, listener, engine, h), // first, so that answers in flight are sent
		lifecycle.Actor{Name: "consumer", Run: consumer.run},
		// Readiness no longer matters, and no probe may run while its clients
		// are being closed.
		lifecycle.Actor{Name: "health", Run: h.Run},
		lifecycle.Actor{Name: "producer", Run: producer.Run, Stop: producer.Stop},
		lifecycle.Actor{
			Name: "database",
			Run:  func(ctx context.Context) error { <-ctx.Done(); return nil },
			Stop: func(ctx context.Context) { // last, because the others use it
				ctx, cancel := context.WithTimeout(ctx, disconnectTimeout)
				defer cancel()
				_ = database.Disconnect(ctx)
			},
		},
		tracer.Actor(),
	)
}
