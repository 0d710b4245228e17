package main

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

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
	log := telemetry.NewLogger(stdout, cfg.Log, "producer")
	reg := telemetry.NewRegistry()
	tracer := otlp.New(cfg.Trace, "producer", log, reg)

	listener, err := httpx.Listen(ctx, cfg.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // the server has closed it, unless it never ran
	producer, err := kafkax.NewProducer(cfg.Kafka, kafkax.ProducerConfig{
		Topics:     []string{cfg.Topic},
		AckTimeout: ackTimeout,
		// The client frees a record's place only after its report: twice the room.
		MaxPending: 2 * maxPending,
		Linger:     5 * time.Millisecond,
		Tracer:     tracer, BeginsTraces: true,
	}, "producer", log, reg)
	if err != nil {
		return err
	}
	h := health.New(reg, health.Check{Name: "kafka", Probe: cfg.Kafka.Watch(log, producer.Probe(kafkax.Writes(cfg.Topic)))})
	var seed [32]byte
	_, _ = cryptorand.Read(seed[:]) // never fails
	g := newGenerator(cfg, newMaker(cfg.Users, cfg.Currency, rand.NewChaCha8(seed)), producer, log, reg)

	err = lifecycle.Run(ctx, log, cfg.HTTP.ShutdownTimeout,
		httpx.Server(log, cfg.HTTP, listener, httpx.NewEngine(log, reg, h), h),
		lifecycle.Actor{Name: "generator", Run: g.run},
		lifecycle.Actor{Name: "health", Run: h.Run}, // before the client that it uses
		lifecycle.Actor{Name: "producer", Run: producer.Run, Stop: producer.Stop},
		tracer.Actor(),
	)
	s := g.tally.summarise()
	s.print(stdout, log)
	if s.acknowledged < cfg.Count {
		err = errors.Join(err, fmt.Errorf("%d of %d events were acknowledged", s.acknowledged, cfg.Count))
	}
	return err
}
