package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"shopstream/services/internal/mongox"
	"shopstream/services/internal/retry"
)

// shoppers buy over HTTP while they are switched on, and remember what was acknowledged.
type shoppers struct {
	url string // of the shop's API

	mu    sync.Mutex
	acked []string // event ids
	stop  func()   // nil while they are off
}

const (
	shopperCount = 10
	shopperPause = 400 * time.Millisecond // about 25 purchases a second
)

func (s *shoppers) on() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range shopperCount {
		wg.Go(func() { s.shop(ctx, fmt.Sprintf("shopper-%d", i)) })
	}
	s.stop = func() { cancel(); wg.Wait() }
}

// off waits for the requests in flight.
func (s *shoppers) off() {
	s.mu.Lock()
	stop := s.stop
	s.stop = nil
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
}

func (s *shoppers) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop != nil
}

// acknowledged returns the event ids of what was acknowledged.
func (s *shoppers) acknowledged() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.acked)
}

func (s *shoppers) shop(ctx context.Context, user string) {
	client := &http.Client{Timeout: 10 * time.Second}
	for price := 1; ctx.Err() == nil; price++ {
		if id, ok := buyOne(client, s.url, user, price); ok {
			s.mu.Lock()
			s.acked = append(s.acked, id)
			s.mu.Unlock()
		}
		retry.Sleep(ctx, shopperPause)
	}
}

// buyOne sends one purchase, and returns its event id if the shop has acknowledged it.
func buyOne(client *http.Client, url, user string, price int) (id string, ok bool) {
	body := fmt.Appendf(nil, `{"username":%q,"userid":%q,"price":%d}`, user, user, price)
	// It isn't cut off when the shoppers stop: its answer may be an acknowledgement.
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", false
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return "", false
	}
	defer response.Body.Close()
	var answer struct {
		Data struct {
			EventID string `json:"eventId"`
		} `json:"data"`
	}
	if response.StatusCode != http.StatusAccepted || json.NewDecoder(response.Body).Decode(&answer) != nil {
		return "", false
	}
	return answer.Data.EventID, true
}

// audit waits until each acknowledged purchase is in the database, which it reads itself.
// It returns what is missing when ctx ends.
func audit(ctx context.Context, cfg mongox.Config, acknowledged []string) (missing []string, err error) {
	client, err := mongox.Connect(cfg, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }()
	collection := client.Database(cfg.Database).Collection(cfg.Collection)
	const chunk = 500
	for missing = acknowledged; len(missing) > 0; {
		stored := map[string]bool{}
		for ids := range slices.Chunk(missing, chunk) {
			var found []struct {
				ID string `bson:"_id"`
			}
			cursor, err := collection.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}})
			if err == nil {
				err = cursor.All(ctx, &found)
			}
			if err != nil {
				return missing, fmt.Errorf("reading what is stored: %w", err)
			}
			for _, one := range found {
				stored[one.ID] = true
			}
		}
		missing = slices.DeleteFunc(slices.Clone(missing), func(id string) bool { return stored[id] })
		if len(missing) > 0 && !retry.Sleep(ctx, 250*time.Millisecond) {
			break
		}
	}
	return missing, nil
}
