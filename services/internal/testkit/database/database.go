// Package database embeds a document database that speaks MongoDB's protocol,
// for running the platform on one machine and for tests: FerretDB v1 on
// SQLite.
package database

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/FerretDB/FerretDB/ferretdb"
)

// starting lets one database start at a time: ferretdb.New writes to its
// version's singleton. That is all that databases of one process share.
var starting sync.Mutex

// Database is a running embedded database.
type Database struct {
	uri    string
	cancel context.CancelFunc
	done   chan struct{}
}

// Start serves the database kept in dir on addr (host:port; port 0 is a free
// one). log may be nil.
func Start(addr, dir string, log *slog.Logger) (*Database, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("resolving the database's folder %q: %w", dir, err)
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return nil, fmt.Errorf("making the database's folder: %w", err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	starting.Lock()
	defer starting.Unlock()
	db, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: addr},
		Logger:    log,
		Handler:   "sqlite",
		SQLiteURL: (&url.URL{Scheme: "file", Path: abs + "/"}).String(),
	})
	if err != nil {
		return nil, fmt.Errorf("starting the embedded database on %s in %s: %w", addr, abs, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &Database{uri: db.MongoDBURI(), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		_ = db.Run(ctx) // always nil
	}()
	return d, nil
}

// URI is the connection string.
func (d *Database) URI() string { return d.uri }

// Close stops the database; what was acknowledged is on disk.
func (d *Database) Close() {
	d.cancel()
	<-d.done
}
