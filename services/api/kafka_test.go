package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/health"
	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/testkit/broker"
	"shopstream/services/internal/testkit/brokertest"
	"shopstream/services/internal/testkit/freeport"
)

// newTestServer starts the server's parts without its routes.
func newTestServer(t testing.TB, servers string, environ ...string) *server {
	t.Helper()
	cfg, err := envconf.Load[config](append([]string{"KAFKA_BOOTSTRAP_SERVERS=" + servers}, environ...))
	if err != nil {
		t.Fatal(err)
	}
	log, reg := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	cluster, err := newCluster(cfg.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	readers, err := newPool(cfg.Kafka, cfg.ReadConcurrency)
	if err != nil {
		t.Fatal(err)
	}
	h := health.New(reg, health.Check{Name: "kafka", Probe: cluster.reachable})
	var wg sync.WaitGroup
	var stops []context.CancelFunc
	for _, part := range []func(context.Context) error{readers.Run, h.Run, cluster.Run} {
		ctx, cancel := context.WithCancel(context.Background())
		stops = append(stops, cancel)
		wg.Go(func() { _ = part(ctx) })
	}
	t.Cleanup(func() {
		for _, stop := range stops {
			stop()
		}
		wg.Wait()
	})
	s := newServer(cfg, cluster, readers, h, log, reg)
	eventually(t, "kafka to be up", func() bool { return s.kafkaUp() == nil })
	return s
}

// counter counts the requests to a broker by API key, and those of the health probe.
type counter struct {
	probes atomic.Int32
	mu     sync.Mutex
	counts map[int16]int
}

func count(k *brokertest.Kafka) *counter {
	c := &counter{counts: map[int16]int{}}
	k.Embedded.Cluster.Control(func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.Embedded.Cluster.KeepControl()
		if m, ok := r.(*kmsg.MetadataRequest); ok && m.Topics != nil && len(m.Topics) == 0 {
			c.probes.Add(1)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.counts[r.Key()]++
		return nil, nil, false
	})
	return c
}

func (c *counter) take() map[int16]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.counts
	c.counts = map[int16]int{}
	return taken
}

const (
	keyFetch       = int16(1)
	keyListOffsets = int16(2)
	keyMetadata    = int16(3)
	keyCommit      = int16(8)
	keyOffsetFetch = int16(9)
	keyJoinGroup   = int16(11)
	keyAPIVersions = int16(18)
)

// A request is cheap: it needs no new connection, no group, one request for the
// partitions, one for their starts, one for their ends, and a fetch.
func TestAPageTakesFourKafkaRequests(t *testing.T) {
	k := brokertest.Start(t)
	if k.Embedded == nil {
		t.Skip("counts the embedded broker's requests")
	}
	topic := k.Topic(t, "cheap", 6, nil)
	client := writer(t, k)
	for i := range 300 {
		write(t, client, &kgo.Record{Topic: topic, Partition: int32(i % 6)})
	}
	c := count(k)
	s := start(t, k.BootstrapServers)
	// Each client connects to the address that it was given first, and to the broker itself with its next request.
	eventually(t, "the health probe to be connected", func() bool { return c.probes.Load() >= 2 })
	for range 10 {
		s.messages(t, "/messages?topic="+topic)
	}
	c.take()
	const requests = 50
	for range requests {
		s.messages(t, "/messages?topic="+topic)
	}
	got := c.take()
	if got[keyAPIVersions] > 0 {
		t.Errorf("%d connections for %d requests", got[keyAPIVersions], requests)
	}
	if got[keyJoinGroup]+got[keyCommit]+got[keyOffsetFetch] > 0 {
		t.Errorf("group requests: %v", got)
	}
	if got[keyMetadata] > requests+5 || got[keyListOffsets] != 2*requests || got[keyFetch] > 2*requests {
		t.Errorf("%d metadata, %d list offsets, %d fetches for %d requests", got[keyMetadata], got[keyListOffsets], got[keyFetch], requests)
	}
	t.Logf("per request: %.1f metadata, %.1f list offsets, %.1f fetches", float64(got[keyMetadata])/requests, float64(got[keyListOffsets])/requests, float64(got[keyFetch])/requests)
	groups, err := k.Admin().ListGroups(t.Context())
	if err != nil || len(groups) > 0 {
		t.Errorf("groups %v, %v", groups, err)
	}
}

func TestAnIdleReaderFetchesNothing(t *testing.T) {
	k := brokertest.Start(t)
	if k.Embedded == nil {
		t.Skip("counts the embedded broker's requests")
	}
	topic := k.Topic(t, "idle", 1, nil)
	c := count(k)
	s := start(t, k.BootstrapServers)
	client := writer(t, k)
	write(t, client, &kgo.Record{Topic: topic})
	s.messages(t, "/messages?topic="+topic)
	quiet(t, c)
	for range 50 {
		write(t, client, &kgo.Record{Topic: topic, Value: make([]byte, 10000)})
	}
	if got := c.take()[keyFetch]; got > 0 {
		t.Errorf("%d fetches without a request", got)
	}
}

// quiet waits until the last fetch of a read is over.
func quiet(t testing.TB, c *counter) {
	t.Helper()
	eventually(t, "the last fetch", func() bool {
		c.take()
		time.Sleep(100 * time.Millisecond)
		return c.take()[keyFetch] == 0
	})
}

// Many requests at once, for many topics, each get the right response, and clients that
// disconnect at any moment do no harm.
func TestConcurrentReaders(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers, "READ_TIMEOUT=20s")
	client := writer(t, k)
	var topics []string
	want := map[string]string{}
	for i := range 4 {
		topic := k.Topic(t, "concurrent", int32(1+3*i), nil)
		for j := range 60 {
			write(t, client, &kgo.Record{Topic: topic, Partition: int32(j % (1 + 3*i)), Value: fmt.Appendf(nil, "%d", j)})
		}
		topics = append(topics, topic)
		want[topic] = asJSON(lastOf(k.Read(t, topic), 25))
	}
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for i := range 25 {
				topic := topics[(worker+i)%len(topics)]
				if worker%4 == 0 { // these disconnect early
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%6)*time.Millisecond)
					request, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/messages?limit=25&topic="+topic, nil)
					if response, err := http.DefaultClient.Do(request); err == nil {
						response.Body.Close()
					}
					cancel()
					continue
				}
				isolation := []string{"read_committed", "read_uncommitted"}[i%2]
				a := s.get(t, "/messages?limit=25&topic="+topic+"&isolation="+isolation)
				if a.status != http.StatusOK || strings.TrimSpace(string(a.body)) != want[topic] {
					t.Errorf("%s = %d %.300s", topic, a.status, a.body)
				}
			}
		})
	}
	wg.Wait()
}

// All requests share their connections: one that is abandoned must not affect others.
func TestAbandonedRequestsDontAffectOthers(t *testing.T) {
	k := brokertest.Start(t)
	if k.Embedded == nil {
		t.Skip("holds up the embedded broker's fetches")
	}
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "shared", 1, nil)
	write(t, writer(t, k), &kgo.Record{Topic: topic})
	s.messages(t, "/messages?topic="+topic)

	release := make(chan struct{})
	var held, asked atomic.Int32
	k.Embedded.Cluster.ControlKey(keyListOffsets, func(kmsg.Request) (kmsg.Response, error, bool) {
		k.Embedded.Cluster.KeepControl()
		asked.Add(1)
		return nil, nil, false
	})
	k.Embedded.Cluster.ControlKey(keyFetch, func(kmsg.Request) (kmsg.Response, error, bool) {
		held.Add(1)
		k.Embedded.Cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/messages?topic="+topic, nil)
		_, err := http.DefaultClient.Do(request)
		left <- err
	}()
	eventually(t, "a fetch to be held", func() bool { return held.Load() == 1 })
	other := make(chan answer, 1)
	go func() { other <- s.get(t, "/messages?topic="+topic) }()
	eventually(t, "another to be behind it", func() bool { return asked.Load() == 4 })
	time.Sleep(50 * time.Millisecond) // until its fetch is on the connection as well
	leave()
	<-left
	time.Sleep(50 * time.Millisecond)
	close(release)
	if a := <-other; a.status != http.StatusOK {
		t.Errorf("the other = %d %s", a.status, a.body)
	}
}

func TestSaturationIsAnsweredInTime(t *testing.T) {
	k := brokertest.Start(t)
	if k.Embedded == nil {
		t.Skip("holds up the embedded broker's fetches")
	}
	s := start(t, k.BootstrapServers, "READ_TIMEOUT=1s", "READ_CONCURRENCY=1")
	topic := k.Topic(t, "held", 1, nil)
	write(t, writer(t, k), &kgo.Record{Topic: topic})
	s.messages(t, "/messages?topic="+topic)
	quiet(t, count(k))

	release := make(chan struct{})
	var held atomic.Bool
	k.Embedded.Cluster.ControlKey(keyFetch, func(kmsg.Request) (kmsg.Response, error, bool) {
		held.Store(true)
		k.Embedded.Cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	slow := make(chan answer, 1)
	go func() { slow <- s.get(t, "/messages?topic="+topic) }()
	eventually(t, "a fetch to be held", held.Load)

	began := time.Now()
	if a := s.get(t, "/messages?topic="+topic); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("with no reader free = %d %s", a.status, a.body)
	}
	if took := time.Since(began); took > 900*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	if a := <-slow; a.status != http.StatusGatewayTimeout {
		t.Errorf("with nothing read in time = %d %s", a.status, a.body)
	} else {
		a.problem(t)
	}
	close(release)
	eventually(t, "an answer again", func() bool { return s.get(t, "/messages?topic="+topic).status == http.StatusOK })
}

func TestKafkaMayStopAndComeBack(t *testing.T) {
	if k := brokertest.Start(t); k.Embedded == nil {
		t.Skip("stops the embedded broker")
	}
	port := freeport.Get(t)
	options := broker.Options{Ports: []int{port}, DataDir: t.TempDir()}
	servers := fmt.Sprintf("127.0.0.1:%d", port)

	// It starts without Kafka.
	s := launch(t, servers)
	for _, path := range []string{"/messages", "/messages/stream", "/topics", "/groups"} {
		began := time.Now()
		a := s.get(t, path)
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("GET %s without Kafka = %d", path, a.status)
		}
		a.problem(t)
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("GET %s took %v", path, took)
		}
	}
	if a := s.get(t, "/health"); a.status != http.StatusOK {
		t.Errorf("/health = %d", a.status)
	}
	for round := range 2 {
		b, err := broker.Start(options)
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("KAFKA_BOOTSTRAP_SERVERS", servers)
		k := brokertest.Start(t)
		if round == 0 {
			k.CreateTopic(t, "orders", 3, nil)
		}
		write(t, writer(t, k), &kgo.Record{Topic: "orders", Value: fmt.Appendf(nil, "round %d", round)})
		eventually(t, "an answer", func() bool { return s.get(t, "/messages").status == http.StatusOK })
		list, _ := s.messages(t, "/messages")
		if len(list) != round+1 || *list[0].Value != fmt.Sprintf("round %d", round) {
			t.Errorf("round %d: %s", round, brief(list))
		}
		b.Close()
		// Right after the stop, before the probe notices: 503 within the time limit.
		began := time.Now()
		if a := s.get(t, "/messages"); a.status != http.StatusServiceUnavailable {
			t.Fatalf("round %d: %d %s with Kafka stopped", round, a.status, a.body)
		}
		if took := time.Since(began); took > kafkax.AnswerTimeout+time.Second {
			t.Errorf("the answer took %v", took)
		}
		eventually(t, "not to be ready", func() bool { return s.get(t, "/-/ready").status == http.StatusServiceUnavailable })
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "leaks", 3, nil)
	write(t, writer(t, k), &kgo.Record{Topic: topic})
	round := func() {
		s := start(t, k.BootstrapServers)
		e := s.follow(t, "/messages/stream?topic="+topic, "")
		s.messages(t, "/messages?topic="+topic)
		s.messages(t, "/messages?isolation=read_uncommitted&topic="+topic)
		s.get(t, "/topics")
		e.cancel()
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	}
	round() // libraries start some goroutines on first use, which stay
	before := ours()
	for range 5 {
		round()
	}
	eventually(t, "the goroutines to end", func() bool { return ours() <= before })
}

// ours counts the goroutines, without those of the embedded broker and of the
// independent client.
func ours() (n int) {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for _, stack := range strings.Split(string(stacks), "\n\n") {
		if !strings.Contains(stack, "franz-go/pkg/") && !strings.Contains(stack, "testkit/broker.") {
			n++
		}
	}
	return n
}

// Only writers of metadata need the controller: without it everything can be read.
func TestOneUnreachableBrokerIsNoOutage(t *testing.T) {
	b, err := broker.Start(broker.Options{Ports: []int{freeport.Get(t), freeport.Get(t), freeport.Get(t)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	s := start(t, b.BootstrapServers())
	t.Setenv("KAFKA_BOOTSTRAP_SERVERS", b.BootstrapServers())
	metadata, err := brokertest.Start(t).Admin().BrokerMetadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Cluster.RemoveNode(metadata.Controller); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(100 * time.Millisecond) {
		if a := s.get(t, "/-/ready"); a.status != http.StatusOK {
			t.Fatalf("after %v: %s", time.Since(began), a.body)
		}
	}
}
