package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"shopstream/services/internal/retry"
)

// shoppers buy over HTTP, each one purchase after the other, and record the responses in a
// ledger. The price of a purchase is its number in the shopper's sequence, so that stored
// purchases can be identified and their order checked. Every second shopper insists: it
// sends a purchase again, with the same Idempotency-Key, until it is acknowledged.
type shoppers struct {
	url    string
	pause  time.Duration // between one shopper's purchases
	number []int         // number of each shopper's next purchase

	mu      sync.Mutex
	ledger  ledger
	tally   tally
	lastAck time.Time
}

// ledger records the acknowledged purchases: their eventIds by user and number.
type ledger map[string]map[int]string

// tally counts the responses to the shoppers during one load.
type tally struct {
	Sent         int
	Acknowledged int
	Refused      int // 503
	Cut          int // no response: the connection broke
	Wrong        []string
	// SlowestRefusal is the longest wait for a 503.
	SlowestRefusal time.Duration
	// Stall is the longest time without an acknowledgement.
	Stall time.Duration
}

func newShoppers(url string, count int, pause time.Duration) *shoppers {
	return &shoppers{url: url, pause: pause, number: slices.Repeat([]int{1}, count), ledger: ledger{}}
}

// buy lets the shoppers buy until ctx ends; requests in flight are finished. Another load
// continues where this one ended, with a new tally.
func (s *shoppers) buy(ctx context.Context) {
	client := &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: len(s.number)}}
	defer client.CloseIdleConnections()
	s.mu.Lock()
	s.tally, s.lastAck = tally{}, time.Now()
	s.mu.Unlock()
	var wg sync.WaitGroup
	for i := range s.number {
		user := fmt.Sprintf("shopper-%03d", i)
		wg.Go(func() {
			for insists := i%2 == 0; ctx.Err() == nil; retry.Sleep(ctx, s.pause) {
				if accepted := s.one(client, user, s.number[i], insists); accepted || !insists {
					s.number[i]++
				}
			}
		})
	}
	wg.Wait()
	s.mu.Lock()
	s.tally.Stall = max(s.tally.Stall, time.Since(s.lastAck))
	s.mu.Unlock()
}

// one sends a purchase and reports whether it was acknowledged.
func (s *shoppers) one(client *http.Client, user string, number int, insists bool) bool {
	body := fmt.Appendf(nil, `{"username":%q,"userid":%q,"price":%d}`, user, user, number)
	request, err := http.NewRequest(http.MethodPost, s.url+"/api/v1/buy", bytes.NewReader(body))
	if err != nil {
		return false // an invalid URL: nothing is acknowledged, which is reported
	}
	request.Header.Set("Content-Type", "application/json")
	if insists {
		request.Header.Set("Idempotency-Key", fmt.Sprintf("%s-%d", user, number))
	}
	start := time.Now()
	response, err := client.Do(request)
	took := time.Since(start)
	var answer []byte
	if err == nil {
		answer, err = io.ReadAll(response.Body)
		response.Body.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally.Sent++
	switch {
	case err != nil:
		s.tally.Cut++
	case response.StatusCode == http.StatusAccepted:
		var accepted struct {
			Data struct {
				EventID string `json:"eventId"`
			} `json:"data"`
		}
		if json.Unmarshal(answer, &accepted) != nil || accepted.Data.EventID == "" {
			s.tally.Wrong = append(s.tally.Wrong, fmt.Sprintf("202 without an eventId: %s", answer))
			return true
		}
		if s.ledger[user] == nil {
			s.ledger[user] = map[int]string{}
		}
		s.ledger[user][number] = accepted.Data.EventID
		s.tally.Acknowledged++
		s.tally.Stall = max(s.tally.Stall, time.Since(s.lastAck))
		s.lastAck = time.Now()
		return true
	case response.StatusCode == http.StatusServiceUnavailable:
		s.tally.Refused++
		s.tally.SlowestRefusal = max(s.tally.SlowestRefusal, took)
		if response.Header.Get("Retry-After") == "" {
			s.tally.Wrong = append(s.tally.Wrong, "503 without Retry-After")
		}
	default:
		s.tally.Wrong = append(s.tally.Wrong, fmt.Sprintf("%d: %s", response.StatusCode, answer))
	}
	return false
}

// acknowledged returns how many purchases this load has had acknowledged so far.
func (s *shoppers) acknowledged() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tally.Acknowledged
}

// faults lists what no response to a shopper may be.
func (t *tally) faults() error {
	var all []error
	for _, wrong := range t.Wrong[:min(5, len(t.Wrong))] {
		all = append(all, errors.New(wrong))
	}
	if len(t.Wrong) > 5 {
		all = append(all, fmt.Errorf("and %d more wrong answers", len(t.Wrong)-5))
	}
	// Five seconds, and one more for a busy machine.
	if t.SlowestRefusal > 6*time.Second {
		all = append(all, fmt.Errorf("a refusal took %s", t.SlowestRefusal))
	}
	if t.Acknowledged == 0 {
		all = append(all, errors.New("nothing was acknowledged"))
	}
	return errors.Join(all...)
}
