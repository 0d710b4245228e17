package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/retry"
)

// readTopics are the topics that are read through /messages: a plain one, one that is read
// in transactions, and one that is compacted and written in transactions.
var readTopics = []string{"purchases", "orders", "product-totals"}

// reader requests the newest messages from api again and again, and checks the responses.
type reader struct {
	url string

	mu    sync.Mutex
	tally reads
}

// reads is the result of the reader's requests during one load.
type reads struct {
	Answered, Refused int
	Groups, NoGroups  int // answers and refusals of /groups
	Slowest           time.Duration
	Wrong             []string
}

// message is the part of api's response with a record's position.
type message struct {
	Partition int32     `json:"partition"`
	Offset    string    `json:"offset"`
	Timestamp time.Time `json:"timestamp"`
}

func (m message) place() string { return fmt.Sprintf("%d/%s", m.Partition, m.Offset) }

// read requests until ctx ends.
func (r *reader) read(ctx context.Context) {
	client := &http.Client{Timeout: 15 * time.Second}
	defer client.CloseIdleConnections()
	for i := 0; ctx.Err() == nil; i++ {
		r.one(client, readTopics[i%len(readTopics)])
		retry.Sleep(ctx, 500*time.Millisecond)
	}
}

// readGroups lists the groups until ctx ends, which asks their coordinators.
func (r *reader) readGroups(ctx context.Context) {
	client := &http.Client{Timeout: 15 * time.Second}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		start := time.Now()
		response, err := client.Get(r.url + "/groups")
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		r.mu.Lock()
		r.tally.Slowest = max(r.tally.Slowest, time.Since(start))
		switch {
		case err != nil:
			r.tally.Wrong = append(r.tally.Wrong, fmt.Sprintf("/groups: %v", err))
		case response.StatusCode == http.StatusOK:
			r.tally.Groups++
		case response.StatusCode == http.StatusServiceUnavailable:
			r.tally.NoGroups++
		default:
			r.tally.Wrong = append(r.tally.Wrong, fmt.Sprintf("/groups: status %d", response.StatusCode))
		}
		r.mu.Unlock()
		retry.Sleep(ctx, 50*time.Millisecond)
	}
}

// forget begins a new tally.
func (r *reader) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally = reads{}
}

func (r *reader) one(client *http.Client, topic string) {
	start := time.Now()
	list, status, err := messages(client, r.url, topic, 50)
	took := time.Since(start)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally.Slowest = max(r.tally.Slowest, took)
	switch {
	case err != nil:
		r.tally.Wrong = append(r.tally.Wrong, fmt.Sprintf("/messages of %s: %v", topic, err))
	case status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		r.tally.Refused++
	case !slices.IsSortedFunc(list, func(x, y message) int { return y.Timestamp.Compare(x.Timestamp) }):
		r.tally.Wrong = append(r.tally.Wrong, fmt.Sprintf("/messages of %s: not the newest first", topic))
	default:
		r.tally.Answered++
	}
}

// messages sends one request. It returns no list if the status means "not now".
func messages(client *http.Client, url, topic string, limit int) ([]message, int, error) {
	response, err := client.Get(fmt.Sprintf("%s/messages?topic=%s&limit=%d", url, topic, limit))
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, 0, err
	}
	switch response.StatusCode {
	case http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return nil, response.StatusCode, nil
	case http.StatusOK:
	default:
		return nil, 0, fmt.Errorf("%d: %s", response.StatusCode, body)
	}
	var list []message
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, 0, err
	}
	return list, response.StatusCode, nil
}

// faults lists what no response may be.
func (r *reads) faults() error {
	var all []error
	for _, wrong := range r.Wrong[:min(5, len(r.Wrong))] {
		all = append(all, errors.New(wrong))
	}
	// READ_TIMEOUT, and some more for a busy machine.
	if r.Slowest > 8*time.Second {
		all = append(all, fmt.Errorf("a read took %s", r.Slowest))
	}
	return errors.Join(all...)
}

// checkMessages compares api's response with what an independent client reads, record by
// record.
func (a *auditor) checkMessages(ctx context.Context, url string, result *audit) error {
	client := &http.Client{Timeout: 15 * time.Second}
	defer client.CloseIdleConnections()
	const limit = 1000
	for _, topic := range readTopics {
		records, err := a.read(ctx, topic)
		if err != nil {
			return err
		}
		list, status, err := messages(client, url, topic, limit)
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("asking api for %s: status %d, %w", topic, status, err)
		}
		var got []string
		for _, m := range list {
			got = append(got, m.place())
		}
		if want := newest(records, limit); !slices.Equal(got, want) {
			result.Messages = append(result.Messages, fmt.Sprintf("%s: %d messages, want %d; %s", topic, len(got), len(want), firstDifference(got, want)))
		}
	}
	return nil
}

// firstDifference shows where two lists of positions differ.
func firstDifference(got, want []string) string {
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	some := func(list []string) string { return strings.Join(list[at:min(at+5, len(list))], " ") }
	return fmt.Sprintf("from number %d on got %s, want %s", at, some(got), some(want))
}

// newest returns what /messages guarantees: of each partition the last records, and of
// these the newest.
func newest(records []*kgo.Record, limit int) []string {
	var all []*kgo.Record
	for rest := records; len(rest) > 0; {
		next := slices.IndexFunc(rest, func(r *kgo.Record) bool { return r.Partition != rest[0].Partition })
		if next < 0 {
			next = len(rest)
		}
		all = append(all, rest[max(0, next-limit):next]...)
		rest = rest[next:]
	}
	slices.SortFunc(all, func(x, y *kgo.Record) int {
		return cmp.Or(y.Timestamp.Compare(x.Timestamp), cmp.Compare(y.Partition, x.Partition), cmp.Compare(y.Offset, x.Offset))
	})
	var places []string
	for _, r := range all[:min(limit, len(all))] {
		places = append(places, message{Partition: r.Partition, Offset: strconv.FormatInt(r.Offset, 10)}.place())
	}
	return places
}
