package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/mongox"
	"shopstream/services/internal/telemetry"
)

const usage = `the commands are
  dump                   dump the purchases, then delete the oldest dumps beyond BACKUP_KEEP
  drill                  restore the newest dump into the scratch database, compare, and drop it
  restore DUMP DATABASE  insert the purchases of a dump that a database lacks
  list                   list the dumps, newest first`

func run(ctx context.Context, args, environ []string, stdout io.Writer) error {
	cfg, err := envconf.Load[config](environ)
	if err != nil {
		return err
	}
	dumps, err := openStore(cfg)
	if err != nil {
		return err
	}
	client, err := mongox.Connect(cfg.Mongo, nil)
	if err != nil {
		return err
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }()
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.Timeout, fmt.Errorf("not finished after TIMEOUT (%s)", cfg.Timeout))
	defer cancel()

	b := backup{cfg: cfg, dumps: dumps, client: client, now: time.Now, log: telemetry.NewLogger(stdout, cfg.Log, "backup")}
	err = b.command(ctx, args, stdout)
	if err != nil && ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}

// backup is one run of the program.
type backup struct {
	cfg    config
	dumps  store
	client *mongo.Client
	now    func() time.Time
	log    *slog.Logger
}

func (b *backup) command(ctx context.Context, args []string, stdout io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == "dump":
		return b.dump(ctx)
	case len(args) == 1 && args[0] == "drill":
		return b.drill(ctx)
	case len(args) == 3 && args[0] == "restore":
		return b.restore(ctx, args[1], args[2])
	case len(args) == 1 && args[0] == "list":
		return b.list(ctx, stdout)
	}
	return fmt.Errorf("unknown command %q: %s", args, usage)
}

// openStore returns the folder or the bucket of the dumps.
func openStore(cfg config) (store, error) {
	if cfg.S3.Bucket != "" {
		return newBucket(cfg.S3, nil)
	}
	return folder(cfg.Folder), nil
}

// purchases returns the collection in a database. Reads return only what a majority of
// the members has, which no new primary rolls back.
func (b *backup) purchases(database string) *mongo.Collection {
	return b.client.Database(database).Collection(b.cfg.Mongo.Collection, options.Collection().SetReadConcern(readconcern.Majority()))
}

func (b *backup) list(ctx context.Context, stdout io.Writer) error {
	complete, broken, err := b.manifests(ctx)
	if err != nil {
		return err
	}
	for _, m := range complete {
		fmt.Fprintf(stdout, "%s  %d purchases  %d bytes  %s\n", m.Name, m.Documents, m.Bytes, m.EndedAt.Format(time.RFC3339))
	}
	b.log.Info("dumps listed", "dumps", len(complete))
	return joined(broken)
}
