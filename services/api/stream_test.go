package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/testkit/brokertest"
)

// events is an open stream.
type events struct {
	t      testing.TB
	cancel context.CancelFunc
	lines  *bufio.Scanner
	id     string // of the last event or of the beginning
	name   string // of the last event
	data   string
}

func (s *service) follow(t testing.TB, path, lastID string) *events {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		request.Header.Set("Last-Event-ID", lastID)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("GET %s = %d %v", path, response.StatusCode, response.Header)
	}
	e := &events{t: t, lines: bufio.NewScanner(response.Body)}
	e.lines.Buffer(nil, 8<<20)
	e.cancel = func() { cancel(); _ = response.Body.Close() }
	t.Cleanup(e.cancel)
	e.next() // the first block has the id of the start
	return e
}

// next returns the next block's message, or nil if it has none or the stream has ended.
func (e *events) next() *message {
	e.t.Helper()
	e.name, e.data = "", ""
	for e.lines.Scan() {
		field, value, _ := strings.Cut(e.lines.Text(), ": ")
		switch field {
		case "":
			if e.lines.Text() != "" {
				continue // a comment
			}
			if e.name != "message" {
				return nil
			}
			m := &message{}
			if err := json.Unmarshal([]byte(e.data), m); err != nil {
				e.t.Fatal(err)
			}
			return m
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		}
	}
	return nil
}

// expect requires the given event next, apart from heartbeats.
func (e *events) expect(name, data string) {
	e.t.Helper()
	e.next()
	for e.name == "" && e.lines.Err() == nil {
		e.next()
	}
	if e.name != name || !strings.Contains(e.data, data) {
		e.t.Fatalf("want %s %s, got %s %.200s, %v", name, data, e.name, e.data, e.lines.Err())
	}
}

func TestStreamStartsAtTheEndAndResumesWhereItWas(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "live", 3, nil)
	client := writer(t, k)
	n := 0
	send := func(count int) {
		for range count {
			write(t, client, &kgo.Record{Topic: topic, Partition: int32(n % 3), Value: fmt.Appendf(nil, "%d", n), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte{0xff}}}})
			n++
		}
	}
	send(5) // before: not shown
	e := s.follow(t, "/messages/stream?topic="+topic, "")
	begin := e.id
	send(4)
	seen := map[string]int{}
	for range 4 {
		m := e.next()
		seen[*m.Value]++
		if m.Headers[0].ValueEncoding != "base64" {
			t.Errorf("headers %+v", m.Headers)
		}
	}
	e.cancel()
	send(6) // while disconnected

	again := s.follow(t, "/messages/stream?topic="+topic, e.id)
	send(2)
	for range 8 {
		seen[*again.next().Value]++
	}
	for i := 5; i < n; i++ {
		if seen[fmt.Sprint(i)] != 1 {
			t.Errorf("message %d came %d times", i, seen[fmt.Sprint(i)])
		}
	}
	if len(seen) != n-5 {
		t.Errorf("%d messages, not %d", len(seen), n-5)
	}

	// The id that comes before any event leads to the start of the stream.
	first := s.follow(t, "/messages/stream?topic="+topic, begin)
	for range n - 5 {
		if m := first.next(); *m.Value < "5" && len(*m.Value) == 1 {
			t.Errorf("message %s is from before the beginning", *m.Value)
		}
	}

	one := s.follow(t, "/messages/stream?partition=1&topic="+topic, "")
	send(3)
	if m := one.next(); m.Partition != 1 {
		t.Errorf("a message of partition %d", m.Partition)
	}
}

// A recreated topic has a new log: the stream says so, and continues at its beginning.
func TestAStreamContinuesInARecreatedTopic(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "anew", 1, nil)
	produce := func(values ...string) {
		for _, v := range values {
			k.Produce(t, &kgo.Record{Topic: topic, Value: []byte(v)})
		}
	}
	e := s.follow(t, "/messages/stream?topic="+topic, "")
	produce("old 0", "old 1")
	e.expect("message", "old 0")
	e.expect("message", "old 1")

	k.RecreateTopic(t, topic, 1, nil)
	produce("new 0", "new 1", "new 2", "new 3")
	e.expect("reset", `{"partition":0,"from":"2","to":"0","cause":"recreated"}`)
	for i := range 4 {
		e.expect("message", fmt.Sprintf("new %d", i))
	}
}

// A client that reconnects is told that the topic doesn't exist.
func TestAStreamEndsWithItsTopic(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "deleted", 1, nil)
	srv := newTestServer(t, k.BootstrapServers)
	srv.heartbeat = 50 * time.Millisecond
	engine := gin.New()
	engine.GET("/messages/stream", srv.stream)
	web := httptest.NewServer(engine)
	defer web.Close()
	s := &service{url: web.URL}
	e := s.follow(t, "/messages/stream?topic="+topic, "")
	if _, err := k.Admin().DeleteTopics(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream to end", func() bool { return len(srv.streams) == 0 })
	if a := s.get(t, "/messages/stream?topic="+topic, "Last-Event-ID", e.id); a.status != http.StatusNotFound {
		t.Errorf("the next connection = %d %s", a.status, a.body)
	}
}

func TestStreamFaults(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic, other := k.Topic(t, "a", 1, nil), k.Topic(t, "b", 1, nil)
	id := s.follow(t, "/messages/stream?topic="+other, "").id
	for path, want := range map[string]int{
		"/messages/stream?topic=absent":                   404,
		"/messages/stream?topic=__x":                      403,
		"/messages/stream?partition=x&topic=" + topic:     400,
		"/messages/stream?partition=7&topic=" + topic:     404,
		"/messages/stream?isolation=dirty&topic=" + topic: 400,
	} {
		if a := s.get(t, path); a.status != want {
			t.Errorf("GET %s = %d, want %d", path, a.status, want)
		}
	}
	for wrong, want := range map[string]int{"x": 404, id: 404, "+": 400, id + "," + id: 400} {
		if a := s.get(t, "/messages/stream?topic="+topic, "Last-Event-ID", wrong); a.status != want {
			t.Errorf("Last-Event-ID %q = %d, want %d", wrong, a.status, want)
		}
	}
}

func TestStreamsAreBoundedAndEndWithTheService(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "many", 1, nil)
	var open []*events
	for range maxStreams {
		open = append(open, s.follow(t, "/messages/stream?topic="+topic, ""))
	}
	if a := s.get(t, "/messages/stream?topic="+topic); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("one too many = %d", a.status)
	}
	open[0].cancel()
	eventually(t, "a free place for a stream", func() bool {
		return strings.Contains(string(s.get(t, "/metrics").body), fmt.Sprintf("api_streams %d\n", maxStreams-1))
	})
	open[0] = s.follow(t, "/messages/stream?topic="+topic, "")

	began := time.Now()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	for _, e := range open {
		if e.next() != nil {
			t.Error("a message after the end")
		}
	}
}

// A stream outlives the server's limits on requests, sends heartbeats, and drops a client
// that has stopped reading.
func TestStreamOutlivesTheServersTimeouts(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "long", 1, nil)
	srv := newTestServer(t, k.BootstrapServers)
	srv.heartbeat = 50 * time.Millisecond
	engine := gin.New()
	engine.GET("/messages/stream", srv.stream)
	web := httptest.NewUnstartedServer(engine)
	web.Config.ReadTimeout, web.Config.WriteTimeout = 200*time.Millisecond, 200*time.Millisecond
	web.Start()
	defer web.Close()

	s := &service{url: web.URL}
	e := s.follow(t, "/messages/stream?topic="+topic, "")
	for range 12 { // heartbeats: three times the timeouts
		if e.next() != nil {
			t.Fatal("a message that was not written")
		}
	}
	write(t, writer(t, k), &kgo.Record{Topic: topic, Value: []byte("still open")})
	for {
		if m := e.next(); m != nil {
			if *m.Value != "still open" {
				t.Errorf("message %s", *m.Value)
			}
			break
		}
		if e.lines.Err() != nil {
			t.Fatal(e.lines.Err())
		}
	}
	e.cancel()
	eventually(t, "the stream to end with its client", func() bool { return len(srv.streams) == 0 })
}

// A client that takes nothing keeps no other from a large batch.
func TestASlowStreamHoldsUpNoLargeBatch(t *testing.T) {
	k := brokertest.Start(t)
	if k.Embedded == nil {
		t.Skip("a real broker takes no batch as it is")
	}
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "large", 2, map[string]string{"max.message.bytes": "20000000"})
	batch := func(records int) []byte {
		return brokertest.Batch{Records: brokertest.Values(slices.Repeat([][]byte{bytes.Repeat([]byte("x"), 10_000)}, records)...)}.Bytes(t)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /messages/stream?topic=%s&partition=0 HTTP/1.1\r\nHost: x\r\n\r\n", topic)
	if _, err := conn.Read(make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	k.ProduceRaw(t, topic, 0, batch(1500))
	eventually(t, "it to be sent some of it", func() bool { return s.sent(t) > 0 })

	e := s.follow(t, "/messages/stream?partition=1&topic="+topic, "")
	k.ProduceRaw(t, topic, 1, batch(200))
	for n := range 200 {
		if m := e.next(); m == nil || m.Offset != strconv.Itoa(n) {
			t.Fatalf("after %d messages comes %v: %v", n, m, e.lines.Err())
		}
	}
	if !strings.Contains(string(s.get(t, "/metrics").body), "api_streams 2\n") {
		t.Error("the slow stream was closed first")
	}
}

// sent returns how many messages were sent to clients.
func (s *service) sent(t testing.TB) (n float64) {
	t.Helper()
	for line := range strings.Lines(string(s.get(t, "/metrics").body)) {
		if rest, ok := strings.CutPrefix(line, "api_messages_consumed_total "); ok {
			_, _ = fmt.Sscan(rest, &n)
		}
	}
	return n
}

// A client that takes nothing makes its stream wait; what is held for it stays limited.
func TestASlowStreamDoesNotGrow(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "flood", 1, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /messages/stream?topic=%s HTTP/1.1\r\nHost: x\r\n\r\n", topic)
	if _, err := conn.Read(make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	client := writer(t, k)
	for range 60 {
		write(t, client, &kgo.Record{Topic: topic, Value: []byte(strings.Repeat("x", 900_000))})
	}
	// What fits in the sockets is sent, and no more: 54 MB stay in Kafka.
	last, since := -1.0, time.Now()
	eventually(t, "the stream to wait for its client", func() bool {
		if n := s.sent(t); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 500*time.Millisecond
	})
	if last == 0 || last > 30 {
		t.Errorf("%v messages were sent to a client that takes none", last)
	}
}
