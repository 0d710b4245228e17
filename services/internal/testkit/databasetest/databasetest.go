// Package databasetest gives a test its document database: an embedded one, or the one
// at MONGO_URI if that is set. Tests use unique database names, so that they can share a
// server and run again.
package databasetest

import (
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"

	"shopstream/services/internal/testkit/database"
)

// Start returns the URI of a database server that stops with the test, and the name of
// a database for the test alone.
func Start(t testing.TB) (uri, name string) {
	t.Helper()
	name = "test_" + strings.ReplaceAll(uuid.NewString()[:13], "-", "")
	if outside := os.Getenv("MONGO_URI"); outside != "" {
		return outside, name
	}
	db, err := database.Start("127.0.0.1:0", t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db.URI(), name
}
