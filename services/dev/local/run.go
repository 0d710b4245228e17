package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/httpx"
	"shopstream/services/internal/lifecycle"
	"shopstream/services/internal/mongox"
	"shopstream/services/internal/telemetry"
	"shopstream/services/internal/testkit/broker"
	"shopstream/services/internal/testkit/database"
)

// run starts the platform and supervises it until drain ends; hurry ends it at once.
// Everything that can be checked is checked before anything starts.
func run(drain, hurry context.Context, environ []string, stdout io.Writer) (err error) {
	start := time.Now()
	cfg, err := envconf.Load[config](environ)
	if err != nil {
		return err
	}
	out := newConsole(stdout, cfg.NoColor != "")
	log := telemetry.NewLogger(out.stream("local"), telemetry.Config{LogLevel: cfg.LogLevel, LogFormat: "text"}, "local")

	bin, err := findBinaries(binaries(cfg)...)
	if err != nil {
		return err
	}
	data, err := openFolder(cfg.DataDir)
	if err != nil {
		return err
	}
	defer data.close()
	if err := checkFree(drain, endpoints(cfg)); err != nil && drain.Err() == nil {
		return err
	}

	// Deferred, so that the broker and the database close after all services have drained,
	// and also if the start fails.
	var kafka, mongo string
	kafkaServer := &embedded{name: "broker", start: func() (stop func(), err error) {
		kafka, stop, err = startKafka(cfg, data, log)
		return stop, err
	}}
	if err := kafkaServer.on(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bounded("broker", cfg.StopTimeout, kafkaServer.off)) }()
	mongoServer := &embedded{name: "database", start: func() (stop func(), err error) {
		mongo, stop, err = startMongo(cfg, data)
		return stop, err
	}}
	if err := mongoServer.on(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bounded("database", cfg.StopTimeout, mongoServer.off)) }()

	env := environment(environ, kafka, mongo)
	if err := createTopics(drain, bin, env, cfg.Replication, out.stream("topics")); err != nil {
		if drain.Err() != nil {
			return nil // stopped meanwhile
		}
		return err
	}

	stored, err := envconf.Load[mongox.Config](env)
	if err != nil {
		return err
	}
	services := stages(cfg)
	faults := &faults{servers: kafka, shoppers: &shoppers{url: services[0][0].url("/api/v1/buy")}, log: log}
	if cfg.BootstrapServers == "" {
		faults.kafka = kafkaServer
	}
	if cfg.MongoURI == "" {
		faults.mongo = mongoServer
	}
	actors := []lifecycle.Actor{faults.mender()}
	for i, stage := range services {
		var children []*child
		for _, s := range stage {
			children = append(children, newChild(s, bin, env, out, log, hurry, cfg.StopTimeout))
		}
		faults.children = append(faults.children, children...)
		actors = append(actors, together(children))
		if i == 0 { // what creates events has drained
			actors = append(actors, faults.auditor(hurry, stored, cfg.StopTimeout))
		}
	}
	children := faults.children
	greeter := lifecycle.Actor{Name: "start", Run: func(ctx context.Context) error {
		return greet(ctx, cfg, data, children, out, start)
	}}
	listener, err := httpx.Listen(drain, cfg.System)
	if err != nil {
		return err
	}
	handler, err := newControl(services[1][2], newFederation(slices.Concat(services...)), faults)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	actors = append(actors, serve(listener, handler))
	// Each child has a shorter time limit: this one is a safety net.
	err = lifecycle.Run(drain, log, cfg.StopTimeout+5*time.Second, append([]lifecycle.Actor{greeter}, actors...)...)
	for _, c := range children {
		err = errors.Join(err, c.undrained)
	}
	err = errors.Join(err, faults.verdict)
	if drain.Err() != nil {
		log.Info("stopped", "data", data.path)
	}
	return err
}

// serve serves until it is stopped.
func serve(listener net.Listener, handler http.Handler) lifecycle.Actor {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	return lifecycle.Actor{
		Name: "system server",
		Run: func(context.Context) error {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving on SYSTEM_ADDR %s: %w", listener.Addr(), err)
			}
			return nil
		},
		Stop: func(context.Context) { _ = server.Close() },
	}
}

// together supervises the services of one stage, which drain at the same time.
func together(stage []*child) lifecycle.Actor {
	name := ""
	for _, c := range stage {
		name += c.name + " "
	}
	return lifecycle.Actor{Name: name + "supervisor", Run: func(ctx context.Context) error {
		// If one gives up, the actor ends, and so does everything.
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		errs := make([]error, len(stage))
		var wg sync.WaitGroup
		for i, c := range stage {
			wg.Go(func() {
				defer cancel()
				errs[i] = c.supervise(ctx)
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	}}
}

// binaries names the files that must be in the same folder as this one.
func binaries(cfg config) []string {
	names := []string{"topics"}
	for _, services := range stages(cfg) {
		for _, s := range services {
			names = append(names, s.name)
		}
	}
	return names
}

// endpoints returns all addresses that something will listen on.
func endpoints(cfg config) []endpoint {
	var all []endpoint
	for _, services := range stages(cfg) {
		for _, s := range services {
			all = append(all, endpoint{owner: s.name, variable: s.variable, addr: string(s.addr)})
		}
	}
	all = append(all, endpoint{owner: "the system's metrics", variable: "SYSTEM_ADDR", addr: string(cfg.System)})
	if cfg.BootstrapServers == "" {
		all = append(all, endpoint{owner: "the embedded broker", variable: "KAFKA_PORT", addr: loopback(cfg.KafkaPort)})
	}
	if cfg.MongoURI == "" {
		all = append(all, endpoint{owner: "the embedded database", variable: "MONGO_PORT", addr: loopback(cfg.MongoPort)})
	}
	return all
}

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// startKafka starts the embedded broker, unless an external one is configured.
//
// A record is acknowledged once the operating system has it: it survives a kill -9 of
// this process, but a power failure may lose the last seconds, as with a single Kafka
// broker with default settings.
func startKafka(cfg config, data *folder, log *slog.Logger) (servers string, stop func(), err error) {
	if cfg.BootstrapServers != "" {
		return cfg.BootstrapServers, func() {}, nil
	}
	dir, err := data.sub("kafka")
	if err != nil {
		return "", nil, err
	}
	b, err := broker.Start(broker.Options{
		Ports:   []int{cfg.KafkaPort},
		DataDir: dir,
		// How often retention and compaction run: within the default, an hour, a load test
		// could fill a disk.
		Config: map[string]string{"log.cleaner.backoff.ms": "30000"},
		Log:    log,
	})
	if err != nil {
		return "", nil, fmt.Errorf("%w (if its data is corrupt, delete %s to start with none)", err, dir)
	}
	return b.BootstrapServers(), b.Close, nil
}

// startMongo starts the embedded database, unless an external one is configured.
func startMongo(cfg config, data *folder) (uri string, stop func(), err error) {
	if cfg.MongoURI != "" {
		return cfg.MongoURI.Reveal(), func() {}, nil
	}
	dir, err := data.sub("database")
	if err != nil {
		return "", nil, err
	}
	db, err := database.Start(loopback(cfg.MongoPort), dir, nil)
	if err != nil {
		return "", nil, fmt.Errorf("%w (if its data is corrupt, delete %s to start with none)", err, filepath.Clean(dir))
	}
	return db.URI(), db.Close, nil
}

// bounded calls stop and waits for it up to bound.
func bounded(name string, bound time.Duration, stop func()) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		stop()
	}()
	select {
	case <-done:
		return nil
	case <-time.After(bound):
		return fmt.Errorf("the %s did not close within STOP_TIMEOUT %s", name, bound)
	}
}
