package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// shoppers buy over HTTP, each one purchase after the other, and keep a ledger
// of the answers. The price of a purchase is its number in the shopper's row,
// so that what is stored can be told apart and its order seen.
type shoppers struct {
	url   string
	count int
	pause time.Duration // between one shopper's purchases

	mu     sync.Mutex
	ledger ledger
}

// ledger is what the shoppers were told.
type ledger struct {
	// Acknowledged purchases: eventId by user and number.
	Acknowledged map[string]map[int]string
	Sent         int
	Refused      int // 503: not acknowledged, and said so
	Cut          int // no answer: the connection broke
	Faults       []string
	// SlowestRefusal is the longest wait for a 503.
	SlowestRefusal time.Duration
	// Stall is the longest time without any acknowledgement.
	Stall   time.Duration
	lastAck time.Time
}

func newShoppers(url string, count int, pause time.Duration) *shoppers {
	return &shoppers{url: url, count: count, pause: pause, ledger: ledger{Acknowledged: map[string]map[int]string{}}}
}

// buy lets the shoppers buy until ctx ends; requests under way are finished.
func (s *shoppers) buy(ctx context.Context) {
	client := &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: s.count}}
	defer client.CloseIdleConnections()
	s.mu.Lock()
	s.ledger.lastAck = time.Now()
	s.mu.Unlock()
	var wg sync.WaitGroup
	for i := range s.count {
		user := fmt.Sprintf("shopper-%03d", i)
		wg.Go(func() {
			for number := 1; ctx.Err() == nil; number++ {
				s.one(client, user, number)
				select {
				case <-ctx.Done():
				case <-time.After(s.pause):
				}
			}
		})
	}
	wg.Wait()
	s.mu.Lock()
	s.ledger.Stall = max(s.ledger.Stall, time.Since(s.ledger.lastAck))
	s.mu.Unlock()
}

func (s *shoppers) one(client *http.Client, user string, number int) {
	body := fmt.Appendf(nil, `{"username":%q,"userid":%q,"price":%d}`, user, user, number)
	start := time.Now()
	response, err := client.Post(s.url+"/api/v1/buy", "application/json", bytes.NewReader(body))
	took := time.Since(start)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ledger.Sent++
	if err != nil {
		s.ledger.Cut++
		return
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		s.ledger.Cut++
	case response.StatusCode == http.StatusAccepted:
		var accepted struct {
			Data struct {
				EventID string `json:"eventId"`
			} `json:"data"`
		}
		if json.Unmarshal(answer, &accepted) != nil || accepted.Data.EventID == "" {
			s.ledger.Faults = append(s.ledger.Faults, fmt.Sprintf("202 without an eventId: %s", answer))
			return
		}
		if s.ledger.Acknowledged[user] == nil {
			s.ledger.Acknowledged[user] = map[int]string{}
		}
		s.ledger.Acknowledged[user][number] = accepted.Data.EventID
		s.ledger.Stall = max(s.ledger.Stall, time.Since(s.ledger.lastAck))
		s.ledger.lastAck = time.Now()
	case response.StatusCode == http.StatusServiceUnavailable:
		s.ledger.Refused++
		s.ledger.SlowestRefusal = max(s.ledger.SlowestRefusal, took)
		if response.Header.Get("Retry-After") == "" {
			s.ledger.Faults = append(s.ledger.Faults, "503 without Retry-After")
		}
	default:
		s.ledger.Faults = append(s.ledger.Faults, fmt.Sprintf("%d: %s", response.StatusCode, answer))
	}
}

// acknowledged is how many purchases were acknowledged so far.
func (s *shoppers) acknowledged() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.acknowledged()
}

func (l *ledger) acknowledged() int {
	n := 0
	for _, numbers := range l.Acknowledged {
		n += len(numbers)
	}
	return n
}
