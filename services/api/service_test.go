package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/httpx"
	"shopstream/services/internal/testkit/brokertest"
)

// service is the service under test, run as in production.
type service struct {
	url  string
	stop func() error // stops it and waits
}

// start runs the service until the test ends, and waits until it is ready.
func start(t testing.TB, servers string, environ ...string) *service {
	t.Helper()
	s := launch(t, servers, environ...)
	eventually(t, "the service to be ready", func() bool { return s.get(t, "/-/ready").status == http.StatusOK })
	return s
}

func launch(t testing.TB, servers string, environ ...string) *service {
	t.Helper()
	out := &serving{addr: make(chan string, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	environ = append([]string{"KAFKA_BOOTSTRAP_SERVERS=" + servers, "HTTP_ADDR=127.0.0.1:0", "SHUTDOWN_TIMEOUT=8s"}, environ...)
	go func() { ended <- run(ctx, environ, out) }()
	s := &service{stop: sync.OnceValue(func() error { cancel(); return <-ended })}
	select {
	case addr := <-out.addr:
		s.url = "http://" + addr
	case err := <-ended:
		t.Fatalf("the service ended: %v", err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("the service ended with %v", err)
		}
		if t.Failed() {
			t.Log(out.String())
		}
	})
	return s
}

// serving collects the service's log and finds its address in it.
type serving struct {
	mu   sync.Mutex
	all  bytes.Buffer
	addr chan string
}

func (s *serving) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var entry struct{ Msg, Addr string }
	if json.Unmarshal(line, &entry) == nil && entry.Msg == "serving" {
		s.addr <- entry.Addr
	}
	return s.all.Write(line)
}

func (s *serving) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (s *service) get(t testing.TB, path string, header ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, body}
}

// messages requests messages and requires success.
func (s *service) messages(t testing.TB, path string) ([]message, answer) {
	t.Helper()
	a := s.get(t, path)
	if a.status != http.StatusOK {
		t.Fatalf("GET %s = %d %s", path, a.status, a.body)
	}
	var list []message
	if err := json.Unmarshal(a.body, &list); err != nil {
		t.Fatal(err)
	}
	return list, a
}

func (a answer) next() string {
	link, rest, ok := strings.Cut(strings.TrimPrefix(a.header.Get("Link"), "<"), ">")
	if !ok || rest != `; rel="next"` {
		return ""
	}
	return link
}

func (a answer) problem(t testing.TB) httpx.Problem {
	t.Helper()
	var p httpx.Problem
	if err := json.Unmarshal(a.body, &p); err != nil || p.Status != a.status || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("not a problem: %d %s, %v", a.status, a.body, err)
	}
	return p
}

// expected is the message that the service should return for a record read by the
// independent client.
func expected(r *kgo.Record) message {
	own := record{partition: r.Partition, offset: r.Offset, timestamp: r.Timestamp.UnixMilli(), key: r.Key, value: r.Value, appendTime: r.Attrs.TimestampType() == 1}
	m := newMessage(r.Topic, &own)
	for _, h := range r.Headers {
		value, encoding := text(h.Value)
		m.Headers = append(m.Headers, header{h.Key, value, encoding})
	}
	return m
}

// lastOf applies the definition to what the independent client has read.
func lastOf(records []*kgo.Record, limit int) []message {
	byPartition := map[int32][]record{}
	origin := map[string]*kgo.Record{}
	for _, r := range records {
		byPartition[r.Partition] = append(byPartition[r.Partition], record{partition: r.Partition, offset: r.Offset, timestamp: r.Timestamp.UnixMilli()})
		origin[fmt.Sprintf("%d/%d", r.Partition, r.Offset)] = r
	}
	var partitions [][]record
	for _, p := range byPartition {
		partitions = append(partitions, p)
	}
	list := []message{}
	for _, p := range places(lastN(partitions, limit)) {
		list = append(list, expected(origin[p]))
	}
	return list
}

func asJSON(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// check compares the service's responses, for many limits, with what the independent
// client reads.
func (s *service) check(t testing.TB, k *brokertest.Kafka, topic string, limits ...int) {
	t.Helper()
	records := k.Read(t, topic)
	if len(limits) == 0 {
		limits = []int{1, 2, 3, 10, 37, 100, 1000}
	}
	for _, limit := range limits {
		got, a := s.messages(t, fmt.Sprintf("/messages?topic=%s&limit=%d", topic, limit))
		want := lastOf(records, limit)
		if a.header.Get("X-Complete") != "true" {
			t.Errorf("limit %d: incomplete: %s", limit, a.header.Get("X-Reason"))
		}
		if !slices.EqualFunc(got, want, func(a, b message) bool { return asJSON(a) == asJSON(b) }) {
			t.Fatalf("limit %d:\n got %s\nwant %s", limit, brief(got), brief(want))
		}
		if more := len(records) > limit; (a.next() != "") != more {
			t.Errorf("limit %d of %d: Link = %q", limit, len(records), a.header.Get("Link"))
		}
		if short := len(want) < limit; short != (a.header.Get("X-Reason") == reasonBeginning) {
			t.Errorf("limit %d of %d: X-Reason = %q", limit, len(records), a.header.Get("X-Reason"))
		}
	}
}

func brief(list []message) string {
	var b strings.Builder
	for i, m := range list {
		if i == 40 {
			fmt.Fprintf(&b, "… %d", len(list))
			break
		}
		fmt.Fprintf(&b, "%d/%s@%s ", m.Partition, m.Offset, m.Timestamp)
	}
	return b.String()
}

// pages follows the Link headers to the end.
func (s *service) pages(t testing.TB, path string) []message {
	t.Helper()
	var all []message
	for n := 0; path != ""; n++ {
		if n > 10000 {
			t.Fatal("pages without end")
		}
		list, a := s.messages(t, path)
		all = append(all, list...)
		path = a.next()
	}
	return all
}
