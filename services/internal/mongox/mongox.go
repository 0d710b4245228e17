// Package mongox connects to the document database.
package mongox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/trace"
)

// Config says how to reach the database.
type Config struct {
	URI        envconf.Secret `env:"MONGO_URI,required,notEmpty" doc:"Connection string of the document database, with its credentials."`
	Database   string         `env:"MONGO_DATABASE" envDefault:"shopping" doc:"Database name."`
	Collection string         `env:"MONGO_COLLECTION" envDefault:"purchases" doc:"Collection of the purchases."`
}

// Validate implements envconf.Validator. The fault does not repeat the value,
// which may hold a password.
func (c Config) Validate() error {
	if err := clientOptions(c).Validate(); err != nil {
		return errors.New("MONGO_URI is not a valid connection string (mongodb://host:port or mongodb+srv://host)")
	}
	return nil
}

// Connect returns a client. It does not wait for the database, which may start
// later. Operations fail after five seconds without a reachable server. Those that
// belong to a trace are recorded by the tracer, which may be nil. More options come on
// top of those that c says.
func Connect(c Config, tracer *trace.Tracer, more ...*options.ClientOptions) (*mongo.Client, error) {
	own := clientOptions(c).SetMonitor(monitor(tracer))
	client, err := mongo.Connect(append([]*options.ClientOptions{own}, more...)...)
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	return client, nil
}

func clientOptions(c Config) *options.ClientOptions {
	return options.Client().
		ApplyURI(c.URI.Reveal()).
		SetServerSelectionTimeout(5 * time.Second).
		// A purchase counts as stored once a majority has it. One that only the
		// primary has could be lost with it after its offset was committed.
		SetWriteConcern(writeconcern.Majority())
}

// Ping is the health probe of the database.
func Ping(client *mongo.Client) func(context.Context) error {
	return func(ctx context.Context) error { return client.Ping(ctx, readpref.Primary()) }
}

// DuplicateKey is the code of the error that a document violates a unique index.
const DuplicateKey = 11000

// IsDuplicateID reports whether a document with the same id exists. A duplicate key
// in another unique index, which somebody has added, means that the document is not
// stored.
func IsDuplicateID(e mongo.BulkWriteError) bool {
	return e.Code == DuplicateKey && (!strings.Contains(e.Message, " index: ") || strings.Contains(e.Message, " index: _id_ "))
}
