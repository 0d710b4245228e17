package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"shopstream/services/dev/reliability/cluster"
	"shopstream/services/internal/testkit/database"
)

// stage is what a fault is tested on: real brokers, a database, the real services, and
// shoppers and orders as a steady load.
type stage struct {
	dir      string
	brokers  *cluster.Cluster
	network  *network
	database *database.Database
	// databaseAddr is the address of the database itself, not that of its proxy.
	databaseAddr string
	platform     *platform
	auditor      *auditor
	shoppers     *shoppers
	reader       *reader

	ordersPerSecond float64
	stored          int // purchases, by the last audit
}

// stageOptions configure a stage.
type stageOptions struct {
	// Manifest is the brokers' StatefulSet, as infra renders it.
	Manifest string
	// Bin is the folder of the services' binaries.
	Bin string
	// Dir is the folder for the brokers' data, the database and all logs.
	Dir string
	// Release is the release of Kafka; empty is the current one.
	Release string
}

// newStage starts everything and waits until it is ready.
func newStage(ctx context.Context, o stageOptions) (*stage, error) {
	declared, err := os.ReadFile(o.Manifest)
	if err != nil {
		return nil, fmt.Errorf("reading the brokers' manifest: %w", err)
	}
	manifest, err := cluster.ParseManifest(declared)
	if err != nil {
		return nil, err
	}
	s := &stage{dir: o.Dir, network: newNetwork(), ordersPerSecond: 50}
	if s.brokers, err = cluster.Start(ctx, cluster.Options{Manifest: manifest, Dir: filepath.Join(o.Dir, "brokers"), Route: s.network.route, Release: o.Release}); err != nil {
		return nil, fmt.Errorf("starting the brokers: %w", err)
	}
	if err := s.prepare(ctx, o); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) prepare(ctx context.Context, o stageOptions) error {
	if err := s.network.failed(); err != nil {
		return err
	}
	var err error
	if s.databaseAddr, err = freeAddress(); err != nil {
		return err
	}
	if err := s.startDatabase(); err != nil {
		return err
	}
	mongoURI, err := s.network.openDatabase(s.databaseAddr)
	if err != nil {
		return err
	}
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + s.databaseAddr + "/").SetServerSelectionTimeout(5 * time.Second))
	if err != nil {
		return fmt.Errorf("connecting the auditor to the database: %w", err)
	}
	var real []string
	for i := range s.brokers.Nodes() {
		real = append(real, s.brokers.Address(i))
	}
	s.auditor = &auditor{servers: real, store: client.Database("shopping").Collection("purchases")}

	s.platform = newPlatform(o.Bin, s.dir, s.brokers.BootstrapServers(), mongoURI)
	if err := s.platform.declareTopics(ctx, min(3, s.brokers.Nodes()), nil); err != nil {
		return err
	}
	starts := errors.Join(
		s.platform.start("management-api", "management-api"),
		s.platform.start("consumer", "consumer", "TRANSACTIONAL_ID="+transactionalID),
		s.platform.start("api", "api"),
	)
	if starts != nil {
		return starts
	}
	if err := s.platform.start("web-server", "web-server", "MANAGEMENT_API_URL="+s.platform.url("management-api")); err != nil {
		return err
	}
	s.shoppers = newShoppers(s.platform.url("web-server"), 16, 50*time.Millisecond)
	s.reader = &reader{url: s.platform.url("api")}
	return s.awaitReady(ctx)
}

// awaitReady waits until every service is ready.
func (s *stage) awaitReady(ctx context.Context) error {
	for _, name := range []string{"web-server", "management-api", "consumer", "api"} {
		if err := s.platform.awaitReady(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// inject injects a fault, with a time limit.
func (s *stage) inject(ctx context.Context, f fault, random *rand.Rand) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	return f.inject(ctx, s, random)
}

func (s *stage) startDatabase() error {
	db, err := database.Start(s.databaseAddr, filepath.Join(s.dir, "database"), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	s.database = db
	return nil
}

// close ends everything.
func (s *stage) close() {
	if s.platform != nil {
		s.platform.close()
	}
	if s.database != nil {
		s.database.Close()
	}
	s.network.close()
	if s.brokers != nil {
		s.brokers.Close()
	}
}
