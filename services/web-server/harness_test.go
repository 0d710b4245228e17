package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/event"
	"shopstream/services/internal/health"
	"shopstream/services/internal/httpx"
	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/testkit/brokertest"
	"shopstream/services/internal/testkit/logtest"
	"shopstream/services/internal/trace"
)

// service is the whole program, running in this process on a free port.
type service struct {
	url  string
	stop func() error
	logs *logtest.Lines
}

// start runs the service until the test ends. environ comes last, so that it takes
// precedence.
func start(t testing.TB, kafka, topic, management string, environ ...string) *service {
	t.Helper()
	logs := &logtest.Lines{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, append([]string{
			"HTTP_ADDR=127.0.0.1:0", "KAFKA_BOOTSTRAP_SERVERS=" + kafka,
			"PURCHASES_TOPIC=" + topic, "MANAGEMENT_API_URL=" + management,
		}, environ...), logs)
	}()
	s := &service{logs: logs}
	s.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = s.stop() })
	await(t, "the service serves", func() bool {
		addr := logs.Value("serving", "addr")
		s.url = "http://" + addr
		return addr != ""
	})
	return s
}

// ready waits until the service is ready.
func (s *service) ready(t testing.TB) *service {
	t.Helper()
	await(t, "the service is ready", func() bool { return request(t, http.MethodGet, s.url+"/-/ready", "").status == http.StatusOK })
	return s
}

// fakeKafka acknowledges, or fails with err.
type fakeKafka struct{ err error }

func (k fakeKafka) Send(context.Context, kafkax.Record) (kafkax.Placed, error) {
	return kafkax.Placed{}, k.err
}

// newTestEngine returns the service's engine with a given sender, and nothing traced.
func newTestEngine(t testing.TB, cfg config, kafka sender) *gin.Engine {
	t.Helper()
	return newTracedEngine(t, cfg, kafka, nil)
}

func newTracedEngine(t testing.TB, cfg config, kafka sender, tracer *trace.Tracer) *gin.Engine {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	reg := prometheus.NewRegistry()
	page, err := newShop(cfg.Currency, cfg.Places)
	if err != nil {
		t.Fatal(err)
	}
	m := newManagement(cfg.ManagementAPIURL, tracer)
	t.Cleanup(m.close)
	engine := httpx.NewEngine(log, reg, health.New(reg))
	httpx.Trace(engine, tracer, true)
	server := newServer(cfg, kafka, m, log)
	addRoutes(engine, server, page, newCheckout(server))
	return engine
}

// serveWith serves it, and returns its URL.
func serveWith(t testing.TB, cfg config, kafka sender) string {
	t.Helper()
	server := httptest.NewServer(httpx.Handler(newTestEngine(t, cfg, kafka)))
	t.Cleanup(server.Close)
	return server.URL
}

// reply is a response, read completely.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) json(t testing.TB) map[string]any {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal(r.body, &body); err != nil {
		t.Fatalf("body %q: %v", r.body, err)
	}
	return body
}

// data returns the data of the response to a buy.
func (r reply) data(t testing.TB) recordedData {
	t.Helper()
	var body struct{ Data recordedData }
	if err := json.Unmarshal(r.body, &body); err != nil {
		t.Fatalf("body %q: %v", r.body, err)
	}
	return body.Data
}

type recordedData struct {
	Username  string
	UserID    string
	Price     float64
	Timestamp float64
	EventID   string
	Partition *int32
	Offset    *int64
}

func (r reply) problem(t testing.TB) httpx.Problem {
	t.Helper()
	var p httpx.Problem
	if err := json.Unmarshal(r.body, &p); err != nil {
		t.Fatalf("body %q: %v", r.body, err)
	}
	if got := r.header.Get("Content-Type"); got != "application/problem+json" || p.Status != r.status || p.Title == "" || p.Detail == "" {
		t.Errorf("%d %s %s is no problem", r.status, got, r.body)
	}
	return p
}

// request sends one request; header has names and values in turn.
func request(t testing.TB, method, url, body string, header ...string) reply {
	t.Helper()
	r, err := tryRequest(method, url, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tryRequest(method, url, body string, header ...string) (reply, error) {
	return send(http.DefaultClient, method, url, body, header...)
}

func send(client *http.Client, method, url, body string, header ...string) (reply, error) {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	for pair := range slices.Chunk(header, 2) {
		r.Header.Add(pair[0], pair[1])
	}
	response, err := client.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, content}, err
}

func (s *service) buy(t testing.TB, body string, header ...string) reply {
	t.Helper()
	return request(t, http.MethodPost, s.url+"/api/v1/buy", body, header...)
}

func purchaseOf(user string, price float64) string {
	return fmt.Sprintf(`{"username":"Ann","userid":%q,"price":%v}`, user, price)
}

// decode decodes a record as management-api does.
func decode(t testing.TB, r *kgo.Record) event.Purchase {
	t.Helper()
	p, err := event.DecodePurchase(r.Value, event.Source{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}, "USD")
	if err != nil {
		t.Fatalf("record %s: %v", r.Value, err)
	}
	return p
}

// await polls until condition is true, if it depends on another process or on the C client,
// which can't signal it.
func await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// inside reports whether a goroutine is in the named function.
func inside(function string) bool {
	stacks := make([]byte, 4<<20)
	return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte(function))
}

// upstream is a management-api that fulfils the contract and does what a test tells it.
type upstream struct {
	*httptest.Server
	mu      sync.Mutex
	handler http.HandlerFunc
	asked   []string // request URIs, without probes
}

func newUpstream(t testing.TB) *upstream {
	t.Helper()
	u := &upstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/-/ready" {
			_, _ = io.WriteString(w, `{"status":"ready"}`)
			return
		}
		u.mu.Lock()
		u.asked = append(u.asked, r.RequestURI)
		handler := u.handler
		u.mu.Unlock()
		if handler == nil {
			handler = func(w http.ResponseWriter, _ *http.Request) { writeProblem(w, http.StatusNotFound, "not stored") }
		}
		handler(w, r)
	}))
	t.Cleanup(u.Close)
	return u
}

// answer sets the upstream's behaviour from now on.
func (u *upstream) answer(handler http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.handler = handler
}

func (u *upstream) lastAsked() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.asked) == 0 {
		return ""
	}
	return u.asked[len(u.asked)-1]
}

func writeProblem(w http.ResponseWriter, status int, detail string, faults ...httpx.FieldError) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(httpx.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Instance: "/upstream", Errors: faults})
}

// blackHole accepts connections and never answers, until it is told to pass new ones on to
// target.
type blackHole struct {
	net.Listener
	mu     sync.Mutex
	target string
	conns  []net.Conn
}

func newBlackHole(t testing.TB) *blackHole {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &blackHole{Listener: l}
	t.Cleanup(func() {
		_ = l.Close()
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, c := range h.conns {
			_ = c.Close()
		}
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conns = append(h.conns, c)
			target := h.target
			h.mu.Unlock()
			if target == "" {
				continue
			}
			if peer, err := net.Dial("tcp", target); err == nil {
				go func() { _, _ = io.Copy(peer, c); _ = peer.Close() }()
				go func() { _, _ = io.Copy(c, peer); _ = c.Close() }()
			}
		}
	}()
	return h
}

func (h *blackHole) passTo(target string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.target = target
}

// held keeps the broker from answering produce requests from now on.
type held struct {
	arrived chan struct{} // closed when the first arrives
	release func()
}

func holdProduce(k *brokertest.Kafka) held {
	arrived, open := make(chan struct{}), make(chan struct{})
	h := held{arrived: arrived, release: sync.OnceFunc(func() { close(open) })}
	first := sync.OnceFunc(func() { close(arrived) })
	k.Embedded.Cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		first()
		k.Embedded.Cluster.SleepControl(func() { <-open })
		return nil, nil, false // and then as usual
	})
	return h
}
