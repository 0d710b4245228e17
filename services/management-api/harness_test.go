package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"shopstream/services/internal/event"
	"shopstream/services/internal/testkit/brokertest"
	"shopstream/services/internal/testkit/databasetest"
)

// platform is what one test runs the service on: a broker, a database, and unique
// names.
type platform struct {
	kafka      *brokertest.Kafka
	topic      string
	dlq        string
	group      string
	mongoURI   string // as the service sees it
	database   string
	traced     string            // the collector's address; "" for none
	collection *mongo.Collection // as the test sees it, not through the proxy
}

func newPlatform(t *testing.T) *platform {
	t.Helper()
	uri, name := databasetest.Start(t)
	p := &platform{kafka: brokertest.Start(t), mongoURI: uri, database: name, group: brokertest.Unique("group")}
	p.topic = p.kafka.Topic(t, "purchases", 3, nil)
	p.dlq = p.topic + ".dlq"
	p.kafka.CreateTopic(t, p.dlq, 2, nil)
	p.collection = connect(t, uri).Database(name).Collection("purchases")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = p.collection.Database().Drop(ctx)
	})
	return p
}

func connect(t *testing.T, uri string) *mongo.Client {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(uri).SetServerSelectionTimeout(2 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	return client
}

func (p *platform) environ(more ...string) []string {
	return append([]string{
		"HTTP_ADDR=127.0.0.1:0",
		"KAFKA_BOOTSTRAP_SERVERS=" + p.kafka.BootstrapServers,
		"PURCHASES_TOPIC=" + p.topic, "PURCHASES_DLQ_TOPIC=" + p.dlq, "GROUP_ID=" + p.group,
		"MONGO_URI=" + p.mongoURI, "MONGO_DATABASE=" + p.database,
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + p.traced,
	}, more...)
}

// service is a running management-api.
type service struct {
	url  string
	logs *lines
	stop func() error // asks it to stop and returns what run returned
	done <-chan struct{}
}

// start runs the service until the test ends or stop is called.
func start(t *testing.T, environ []string) *service {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out := newLines(t)
	done := make(chan struct{})
	var result error
	go func() {
		defer close(done)
		result = run(ctx, environ, out)
	}()
	s := &service{logs: out, done: done, stop: func() error {
		cancel()
		<-done
		return result
	}}
	t.Cleanup(func() { _ = s.stop() })
	line := out.await(t, done, func(l map[string]any) bool { return l["msg"] == "serving" })
	if line == nil {
		t.Fatalf("the service did not start: %v", result)
	}
	s.url = "http://" + line["addr"].(string)
	return s
}

// lines collects the service's log and lets a test wait for a line.
type lines struct {
	t    testing.TB
	mu   sync.Mutex
	part []byte
	all  []map[string]any
	more chan struct{} // closed and replaced with each line
}

func newLines(t testing.TB) *lines { return &lines{t: t, more: make(chan struct{})} }

func (l *lines) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part = append(l.part, data...)
	for {
		i := bytes.IndexByte(l.part, '\n')
		if i < 0 {
			return len(data), nil
		}
		if os.Getenv("TEST_LOG") != "" {
			fmt.Fprintf(os.Stderr, "%s %s\n", l.t.Name(), l.part[:i])
		}
		line := map[string]any{}
		if json.Unmarshal(l.part[:i], &line) == nil {
			l.all = append(l.all, line)
			close(l.more)
			l.more = make(chan struct{})
		}
		l.part = l.part[i+1:]
	}
}

// await returns the first line that matches, including earlier ones, or nil if done is
// closed first.
func (l *lines) await(t testing.TB, done <-chan struct{}, match func(map[string]any) bool) map[string]any {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		l.mu.Lock()
		i := slices.IndexFunc(l.all, match)
		more := l.more
		var found map[string]any
		if i >= 0 {
			found = l.all[i]
		}
		l.mu.Unlock()
		if found != nil {
			return found
		}
		select {
		case <-more:
		case <-done:
			return nil
		case <-timeout:
			t.Fatal("the line was not logged")
		}
	}
}

func (l *lines) count(match func(map[string]any) bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, line := range l.all {
		if match(line) {
			n++
		}
	}
	return n
}

func message(text string) func(map[string]any) bool {
	return func(l map[string]any) bool { return l["msg"] == text }
}

// get sends a request and returns the response with its body read.
func (s *service) get(t testing.TB, path string) (*http.Response, []byte) {
	t.Helper()
	client := http.Client{Timeout: 15 * time.Second}
	target := path
	if !strings.HasPrefix(path, "http") {
		target = s.url + path
	}
	response, err := client.Get(target)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	return response, body
}

// page is get for a page of purchases. As a client does, it asks again after 503, which on a
// busy machine is the answer when the database takes seconds.
func (s *service) page(t testing.TB, path string) (response *http.Response, body []byte) {
	t.Helper()
	eventually(t, "a page of "+path, func() bool {
		response, body = s.get(t, path)
		return response.StatusCode != http.StatusServiceUnavailable
	})
	return response, body
}

// list returns a user's purchases by following the pages.
func (s *service) list(t testing.TB, userID string, limit int) []purchase {
	t.Helper()
	var all []purchase
	path := fmt.Sprintf("/api/v1/purchases/%s?limit=%d", url.PathEscape(userID), limit)
	for path != "" {
		response, body := s.page(t, path)
		if response.StatusCode != http.StatusOK {
			t.Fatalf("GET %s = %d %s", path, response.StatusCode, body)
		}
		page := decodePage(t, body)
		if len(page) > limit {
			t.Fatalf("a page of %d, asked for %d", len(page), limit)
		}
		all = append(all, page...)
		path = nextOf(response)
	}
	return all
}

func decodePage(t testing.TB, body []byte) []purchase {
	t.Helper()
	var raw []struct {
		UserID     string  `json:"userid"`
		Username   string  `json:"username"`
		Price      float64 `json:"price"`
		Timestamp  float64 `json:"timestamp"`
		EventID    string  `json:"eventId"`
		PriceMinor int64   `json:"priceMinor"`
		Currency   string  `json:"currency"`
		Product    string  `json:"product"`
	}
	if err := json.Unmarshal(body, &raw); err != nil || raw == nil {
		t.Fatalf("not a page: %s (%v)", body, err)
	}
	var page []purchase
	for _, r := range raw {
		page = append(page, purchase{r.UserID, r.Username, event.Price(r.Price), event.TimeOf(r.Timestamp), r.EventID, r.PriceMinor, r.Currency, r.Product})
	}
	return page
}

// nextOf returns the target of the Link header, or "".
func nextOf(response *http.Response) string {
	link := response.Header.Get("Link")
	target, ok := strings.CutSuffix(link, `>; rel="next"`)
	if !ok {
		return ""
	}
	return strings.TrimPrefix(target, "<")
}

// metric returns a sample's value from the service's metrics, 0 when absent.
func (s *service) metric(t testing.TB, sample string) float64 {
	t.Helper()
	_, body := s.get(t, "/metrics")
	lines := bufio.NewScanner(bytes.NewReader(body))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), sample+" "); ok {
			var v float64
			if _, err := fmt.Sscan(rest, &v); err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	return 0
}

// eventually waits for a condition and says what it waited for.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// purchases makes n valid events, of several users, and their records.
func purchases(t testing.TB, topic string, n int) ([]event.Purchase, []*kgo.Record) {
	t.Helper()
	var events []event.Purchase
	var records []*kgo.Record
	for i := range n {
		id, err := event.NewID()
		if err != nil {
			t.Fatal(err)
		}
		request := event.BuyRequest{Username: "Ann", UserID: fmt.Sprintf("u%d", i%17), Price: event.Price(float64(100+i) / 100), PriceMinor: int64(100 + i)}
		e := event.NewPurchase(request, id, "USD", time.Now())
		events, records = append(events, e), append(records, recordOf(t, topic, e))
	}
	return events, records
}

func recordOf(t testing.TB, topic string, e event.Purchase) *kgo.Record {
	t.Helper()
	value, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return &kgo.Record{Topic: topic, Key: []byte(e.UserID), Value: value}
}

// again returns the records to be produced once more: a record that was produced keeps
// the context of that call.
func again(records []*kgo.Record) []*kgo.Record {
	var fresh []*kgo.Record
	for _, r := range records {
		fresh = append(fresh, &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers})
	}
	return fresh
}

func (p *platform) storedCount(t testing.TB) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	n, err := p.collection.CountDocuments(ctx, bson.D{})
	if err != nil {
		return -1 // the database may be unreachable in this test
	}
	return int(n)
}

// wantStored checks that exactly these events are stored.
func (p *platform) wantStored(t testing.TB, events []event.Purchase) {
	t.Helper()
	stored, since := -1, time.Now()
	for stored < len(events) { // however slowly, as long as there is progress
		if n := p.storedCount(t); n > stored {
			stored, since = n, time.Now()
		}
		if time.Since(since) > time.Minute {
			t.Fatalf("%d of %d purchases are stored, and no more for a minute", stored, len(events))
		}
		time.Sleep(20 * time.Millisecond)
	}
	found, err := p.collection.Find(t.Context(), bson.D{})
	if err != nil {
		t.Fatal(err)
	}
	var documents []document
	if err := found.All(t.Context(), &documents); err != nil {
		t.Fatal(err)
	}
	got := map[string]document{}
	for _, d := range documents {
		d.Trail = trail{} // where and when is another matter
		got[d.ID] = d
	}
	if len(documents) != len(events) {
		t.Errorf("%d stored, want %d", len(documents), len(events))
	}
	for _, e := range events {
		if got[e.EventID] != documentOf(e) {
			t.Fatalf("stored %+v, want %+v", got[e.EventID], documentOf(e))
		}
	}
}

// wantCommitted waits until the group's offsets are the topic's end.
func (p *platform) wantCommitted(t testing.TB) {
	t.Helper()
	eventually(t, "all offsets committed", func() bool { return p.uncommitted(t, p.group, p.topic) == 0 })
}

// uncommitted returns how many records a group has not committed, or -1 if unknown.
func (p *platform) uncommitted(t testing.TB, group, topic string) int64 {
	t.Helper()
	ends, err := p.kafka.Admin().ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	starts, err := p.kafka.Admin().ListStartOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if ends.Error() != nil || starts.Error() != nil {
		return -1 // unknown while a leader moves
	}
	committed, err := p.kafka.Admin().FetchOffsets(t.Context(), group)
	if err != nil {
		committed = nil // no group yet
	}
	var left int64
	for partition, end := range ends[topic] {
		at := starts[topic][partition].Offset
		if o, ok := committed.Lookup(topic, partition); ok {
			at = max(at, o.At)
		}
		left += end.Offset - at
	}
	return left
}

// proxy is between the service and its database, so that a test can make the database
// unreachable.
type proxy struct {
	target   string
	listener net.Listener

	mu    sync.Mutex
	away  bool
	conns map[net.Conn]struct{}
}

// throughProxy puts a proxy before the platform's database.
func (p *platform) throughProxy(t *testing.T) *proxy {
	t.Helper()
	uri, err := url.Parse(p.mongoURI)
	if err != nil || strings.Contains(uri.Host, ",") || uri.Scheme != "mongodb" {
		t.Skipf("the database is not a single server, so it can't be put behind a proxy")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &proxy{target: uri.Host, listener: l, conns: map[net.Conn]struct{}{}}
	uri.Host = l.Addr().String()
	query := uri.Query()
	query.Set("directConnection", "true")
	uri.RawQuery = query.Encode()
	p.mongoURI = uri.String()
	t.Cleanup(func() { _ = l.Close(); x.cut() })
	go x.serve()
	return x
}

func (x *proxy) serve() {
	for {
		client, err := x.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", x.target)
		x.mu.Lock()
		if err != nil || x.away {
			x.mu.Unlock()
			_ = client.Close()
			if server != nil {
				_ = server.Close()
			}
			continue
		}
		x.conns[client], x.conns[server] = struct{}{}, struct{}{}
		x.mu.Unlock()
		go x.pipe(client, server)
		go x.pipe(server, client)
	}
}

func (x *proxy) pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_, _ = to.Close(), from.Close()
	x.mu.Lock()
	delete(x.conns, from)
	x.mu.Unlock()
}

// cut makes the database unreachable: open connections break, new ones are refused.
func (x *proxy) cut() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.away = true
	for c := range x.conns {
		_ = c.Close()
	}
}

func (x *proxy) restore() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.away = false
}
