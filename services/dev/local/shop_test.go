package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// httpClient keeps a connection for each of the shoppers.
func httpClient(t *testing.T, conns int) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: conns, MaxConnsPerHost: conns}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// buy posts one purchase and returns its event id once it is acknowledged.
func buy(client *http.Client, url, userid string) (string, error) {
	body := fmt.Sprintf(`{"username":"Ada","userid":%q,"price":9.99}`, userid)
	resp, err := client.Post(url, "application/json", bytes.NewBufferString(body))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusAccepted {
		return "", fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	var answer struct {
		Data struct {
			EventID string `json:"eventId"`
		} `json:"data"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return "", fmt.Errorf("reading the response %s: %w", text, err)
	}
	return answer.Data.EventID, nil
}

// get requests JSON and decodes it into answer, which may be nil.
func get(url string, answer any) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d from %s: %s", resp.StatusCode, url, text)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("reading the response %s: %w", text, err)
	}
	return nil
}

// crowd buys with many shoppers at once, and records what was acknowledged.
type crowd struct {
	mu     sync.Mutex
	acked  map[string]bool // event ids
	failed []error
}

// count returns how many purchases are acknowledged so far.
func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acked)
}

// buyMany makes count purchases, 64 at a time and up to rate per second, until ctx ends.
func (c *crowd) buyMany(ctx context.Context, t *testing.T, url string, count, rate int) {
	const shoppers = 64
	c.mu.Lock()
	c.acked = map[string]bool{}
	c.mu.Unlock()
	client := httpClient(t, shoppers)
	start := time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range shoppers {
		wg.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= count {
					return
				}
				time.Sleep(time.Until(start.Add(time.Duration(n) * time.Second / time.Duration(rate))))
				id, err := buy(client, url, fmt.Sprintf("user-%d", n%500))
				c.mu.Lock()
				if err != nil {
					c.failed = append(c.failed, err)
				} else {
					c.acked[id] = true
				}
				c.mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// stored returns the ids of all purchases, read directly from the database.
func stored(t *testing.T, uri, database string) map[string]bool {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(uri).SetServerSelectionTimeout(5 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Disconnect(context.Background())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cursor, err := client.Database(database).Collection("purchases").Find(ctx, bson.D{})
	if err != nil {
		t.Fatal(err)
	}
	var documents []struct {
		ID string `bson:"_id"`
	}
	if err := cursor.All(ctx, &documents); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, d := range documents {
		if ids[d.ID] {
			t.Errorf("purchase %s is stored twice", d.ID)
		}
		ids[d.ID] = true
	}
	return ids
}

// allStored waits until every acknowledged purchase is in the database, and returns the ids
// of all purchases there.
func (c *crowd) allStored(t *testing.T, bound time.Duration, uri, database string) map[string]bool {
	t.Helper()
	var ids map[string]bool
	eventually(t, bound, func() error {
		ids = stored(t, uri, database)
		missing := 0
		for id := range c.acked {
			if !ids[id] {
				missing++
			}
		}
		if missing > 0 {
			time.Sleep(500 * time.Millisecond)
			return fmt.Errorf("%d of %d acknowledged purchases are not stored", missing, len(c.acked))
		}
		return nil
	})
	return ids
}
