// Package database runs a document database with MongoDB's protocol in this process, for
// running the platform on one machine and for tests. It is FerretDB v1 on SQLite; pages
// of a user's purchases are answered from an index beside it (see front.go).
package database

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/FerretDB/FerretDB/ferretdb"
)

// starting lets one database start at a time: ferretdb.New writes to a global of
// FerretDB's version package. Databases of one process share nothing else.
var starting sync.Mutex

// Database is a running embedded database.
type Database struct {
	front  *front
	socket string // folder of the socket between front and FerretDB
	cancel context.CancelFunc
	done   chan struct{}
}

// Start serves the database in dir on addr (host:port; port 0 is a free one). log may
// be nil.
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
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("starting the embedded database on %s: %w", addr, err)
	}
	d, err := start(listener, abs, log)
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("starting the embedded database on %s in %s: %w", addr, abs, err)
	}
	return d, nil
}

func start(listener net.Listener, dir string, log *slog.Logger) (*Database, error) {
	// In the folder for temporary files: a socket's path has at most 107 characters.
	socket, err := os.MkdirTemp("", "database-")
	if err != nil {
		return nil, fmt.Errorf("making the socket's folder: %w", err)
	}
	backend := filepath.Join(socket, "socket")
	starting.Lock()
	defer starting.Unlock()
	db, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{Unix: backend},
		Logger:    log,
		Handler:   "sqlite",
		SQLiteURL: (&url.URL{Scheme: "file", Path: dir + "/"}).String(),
	})
	if err != nil {
		_ = os.RemoveAll(socket)
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &Database{socket: socket, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		_ = db.Run(ctx) // always nil
	}()
	d.front = serve(listener, backend, newPages(dir))
	return d, nil
}

// URI returns the connection string.
func (d *Database) URI() string { return "mongodb://" + d.front.listener.Addr().String() + "/" }

// Close stops the database. Acknowledged writes are on disk.
func (d *Database) Close() {
	d.front.close()
	d.cancel()
	<-d.done
	_ = os.RemoveAll(d.socket)
}
