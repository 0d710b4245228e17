package database_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"shopstream/services/internal/testkit/database"
)

// Pages answered from the index contain what FerretDB itself answers, in the same order and
// with the same types, whatever numbers the documents are sorted by.
func TestPagesAreWhatFerretDBAnswers(t *testing.T) {
	db, err := database.Start("127.0.0.1:0", t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	client, err := mongo.Connect(options.Client().ApplyURI(db.URI()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Disconnect(t.Context()) }()
	collection := client.Database("shop").Collection("purchases")
	random := rand.New(rand.NewPCG(1, 2))
	var documents []any
	for i := range 300 {
		at := []float64{9.5, 10.1, 1e9 + random.Float64()*1e6, float64(random.IntN(5)), -1e-7 * random.Float64()}[i%5]
		documents = append(documents, bson.D{
			{Key: "_id", Value: fmt.Sprintf("id-%d \"é\"", i)},
			{Key: "userid", Value: []string{"u1", "u2", "ü"}[i%3]},
			{Key: "at", Value: at},
			{Key: "count", Value: int64(1)<<60 + int64(i)},
			{Key: "small", Value: int32(i)},
			{Key: "gift", Value: i%2 == 0},
			{Key: "day", Value: bson.DateTime(1_763_980_000_123)},
		})
	}
	if _, err := collection.InsertMany(t.Context(), documents); err != nil {
		t.Fatal(err)
	}
	newestFirst := bson.D{{Key: "at", Value: -1}, {Key: "_id", Value: -1}}
	for _, user := range []string{"u1", "u2", "ü", "nobody"} {
		// Without a batch size, the index doesn't answer the find.
		whole := find(t, collection, bson.D{{Key: "userid", Value: user}}, options.Find().SetSort(newestFirst))
		paged := []bson.D{}
		filter := bson.D{{Key: "userid", Value: user}}
		for {
			page := find(t, collection, filter, options.Find().SetSort(newestFirst).SetLimit(7).SetBatchSize(7))
			paged = append(paged, page...)
			if len(page) < 7 {
				break
			}
			last := page[len(page)-1]
			id, at := last[0].Value, last[2].Value
			filter = bson.D{{Key: "userid", Value: user},
				{Key: "at", Value: bson.D{{Key: "$lte", Value: at}}},
				{Key: "$or", Value: bson.A{
					bson.D{{Key: "at", Value: bson.D{{Key: "$lt", Value: at}}}},
					bson.D{{Key: "_id", Value: bson.D{{Key: "$lt", Value: id}}}},
				}}}
		}
		if !reflect.DeepEqual(paged, whole) {
			t.Errorf("pages of %q:\n%v\nwant what one find answers:\n%v", user, paged, whole)
		}
	}
}

// Documents are found by their _ids without a look at the others.
func TestIDsAreLookedUpInAnIndex(t *testing.T) {
	dir := t.TempDir()
	db, err := database.Start("127.0.0.1:0", dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	client, err := mongo.Connect(options.Client().ApplyURI(db.URI()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Disconnect(t.Context()) }()
	collection := client.Database("shop").Collection("purchases")
	ids := []string{"a", "b \"é\"", "<&>\u2028😀\\"}
	for i, id := range ids {
		if _, err := collection.InsertOne(t.Context(), bson.D{{Key: "_id", Value: id}, {Key: "n", Value: int32(i)}, {Key: "at", Value: 1.5}}); err != nil {
			t.Fatal(err)
		}
	}
	for i, id := range ids {
		want := bson.D{{Key: "_id", Value: id}, {Key: "n", Value: int32(i)}, {Key: "at", Value: 1.5}}
		if got := find(t, collection, bson.D{{Key: "_id", Value: id}}, options.Find()); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("found %v for %q", got, id)
		}
	}
	if got := find(t, collection, bson.D{{Key: "_id", Value: "c"}}, options.Find()); len(got) != 0 {
		t.Errorf("found %v for an _id that isn't there", got)
	}
	several := bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: append(ids[1:], "c")}}}}
	got := find(t, collection, several, options.Find().SetProjection(bson.D{{Key: "n", Value: 1}}))
	slices.SortFunc(got, func(a, b bson.D) int { return int(a[1].Value.(int32) - b[1].Value.(int32)) })
	want := []bson.D{{{Key: "_id", Value: ids[1]}, {Key: "n", Value: int32(1)}}, {{Key: "_id", Value: ids[2]}, {Key: "n", Value: int32(2)}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("of several, found %v, want %v", got, want)
	}
	file, err := sql.Open("sqlite", filepath.Join(dir, "shop.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var table string
	if err := file.QueryRowContext(t.Context(), "SELECT table_name FROM _ferretdb_collections").Scan(&table); err != nil {
		t.Fatal(err)
	}
	var n int
	var how string
	err = file.QueryRowContext(t.Context(), fmt.Sprintf("EXPLAIN QUERY PLAN SELECT _ferretdb_sjson FROM %q WHERE _ferretdb_sjson->'$._id' IN (?, ?)", table), `"a"`, `"c"`).Scan(&n, &n, &n, &how)
	if err != nil || !strings.HasPrefix(how, "SEARCH") {
		t.Errorf("SQLite's plan is %q, %v", how, err)
	}
}

func find(t *testing.T, c *mongo.Collection, filter bson.D, opts *options.FindOptionsBuilder) []bson.D {
	t.Helper()
	cursor, err := c.Find(t.Context(), filter, opts)
	if err != nil {
		t.Fatal(err)
	}
	found := []bson.D{}
	if err := cursor.All(t.Context(), &found); err != nil {
		t.Fatal(err)
	}
	return found
}
