package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

func TestTheSinkAnswersAsMongoDBDoes(t *testing.T) {
	for name, test := range map[string]struct {
		arguments  []string
		duplicates int
	}{
		"it takes all documents":       {nil, 0},
		"it has all documents already": {[]string{"-full"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			collection := connect(t, test.arguments...).Database("shopping").Collection("purchases")
			documents := []bson.D{{{Key: "_id", Value: "a"}}, {{Key: "_id", Value: "b"}}, {{Key: "_id", Value: "c"}}}
			_, err := collection.InsertMany(t.Context(), documents, options.InsertMany().SetOrdered(false))
			bulk := mongo.BulkWriteException{}
			if err != nil && !errors.As(err, &bulk) {
				t.Fatal(err)
			}
			if len(bulk.WriteErrors) != test.duplicates {
				t.Errorf("%d write errors, want %d: %v", len(bulk.WriteErrors), test.duplicates, err)
			}
			for i, e := range bulk.WriteErrors {
				if e.Index != i || !mongo.IsDuplicateKeyError(e) {
					t.Errorf("error %d: %+v", i, e)
				}
			}
		})
	}
}

// connect starts a sink, and connects to it.
func connect(t *testing.T, arguments ...string) *mongo.Client {
	t.Helper()
	stdin, stop := io.Pipe()
	lines, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- runSink(t.Context(), arguments, stdin, stdout) }()
	addr, err := bufio.NewReader(lines).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + strings.TrimSpace(addr)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Disconnect(context.Background())
		_ = stop.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return client
}
