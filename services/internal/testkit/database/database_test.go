package database_test

import (
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"shopstream/services/internal/testkit/database"
)

// Tests that run at once have a database each, in one process: the same collection of two
// databases contains what each was given. With the race detector it shows that they share
// no memory.
func TestDatabasesOfOneProcessAreApart(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			db, err := database.Start("127.0.0.1:0", t.TempDir(), nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			client, err := mongo.Connect(options.Client().ApplyURI(db.URI()))
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = client.Disconnect(t.Context()) }()
			collection := client.Database("shop").Collection("purchases")
			if _, err := collection.InsertOne(t.Context(), bson.M{"_id": i}); err != nil {
				t.Error(err)
			}
			if n, err := collection.CountDocuments(t.Context(), bson.M{}); err != nil || n != 1 {
				t.Errorf("database %d holds %d purchases, %v", i, n, err)
			}
		})
	}
	wg.Wait()
}
