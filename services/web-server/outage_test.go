package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/testkit/broker"
	"shopstream/services/internal/testkit/brokertest"
	"shopstream/services/internal/testkit/freeport"
)

// mustRefuse expects 503 with Retry-After within the guaranteed five seconds, with the
// default ACK_TIMEOUT.
func mustRefuse(t *testing.T, s *service, header ...string) {
	t.Helper()
	start := time.Now()
	got := s.buy(t, purchaseOf("u-1", 1), header...)
	took := time.Since(start)
	if got.status != http.StatusServiceUnavailable {
		t.Fatalf("buy = %d %s", got.status, got.body)
	}
	got.problem(t)
	if seconds, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || seconds < 1 {
		t.Errorf("Retry-After = %q", got.header.Get("Retry-After"))
	}
	if took > 5*time.Second {
		t.Errorf("answered after %v", took)
	}
	t.Logf("503 after %v", took.Round(time.Millisecond))
}

// mustRecover expects that buying works again without a restart.
func mustRecover(t *testing.T, s *service) {
	t.Helper()
	start := time.Now()
	await(t, "a buy is accepted again", func() bool { return s.buy(t, purchaseOf("u-1", 2)).status == http.StatusAccepted })
	t.Logf("accepted again after %v", time.Since(start).Round(time.Millisecond))
	s.ready(t)
	t.Logf("ready again after %v", time.Since(start).Round(time.Millisecond))
}

func embedded(t *testing.T) *brokertest.Kafka {
	t.Helper()
	k := brokertest.Start(t)
	if k.Embedded == nil {
		t.Skip("SKIP: injects faults into the embedded broker, but an external one is used")
	}
	return k
}

func TestKafkaUnreachable(t *testing.T) {
	t.Parallel()
	port := freeport.Get(t)
	s := start(t, fmt.Sprintf("127.0.0.1:%d", port), "purchases", newUpstream(t).URL)
	mustRefuse(t, s)
	b, err := broker.Start(broker.Options{Ports: []int{port}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := b.Cluster.CreateTopic("purchases", 3, nil); err != nil {
		t.Fatal(err)
	}
	mustRecover(t, s)
}

func TestKafkaGoesAndComesBack(t *testing.T) {
	t.Parallel()
	options := broker.Options{Ports: []int{freeport.Get(t)}, DataDir: t.TempDir()}
	b, err := broker.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Cluster.CreateTopic("purchases", 3, nil); err != nil {
		t.Fatal(err)
	}
	s := start(t, b.BootstrapServers(), "purchases", newUpstream(t).URL).ready(t)
	if got := s.buy(t, purchaseOf("u-1", 1)); got.status != http.StatusAccepted {
		t.Fatalf("buy = %d %s", got.status, got.body)
	}
	b.Close()
	mustRefuse(t, s)
	if b, err = broker.Start(options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	mustRecover(t, s)
}

// A peer that accepts connections and never answers, such as a broker whose disk hangs or a
// firewall that drops packets.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	k := embedded(t)
	topic := k.Topic(t, "purchases", 3, nil)
	hole := newBlackHole(t)
	s := start(t, hole.Addr().String(), topic, newUpstream(t).URL)
	mustRefuse(t, s)
	hole.passTo(k.BootstrapServers)
	mustRecover(t, s)
}

// The same during work, on connections that have worked.
func TestBrokerFallsSilent(t *testing.T) {
	t.Parallel()
	k := embedded(t)
	topic := k.Topic(t, "purchases", 3, nil)
	s := start(t, k.BootstrapServers, topic, newUpstream(t).URL).ready(t)
	var silent atomic.Bool
	silent.Store(true)
	k.Embedded.Cluster.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		k.Embedded.Cluster.KeepControl()
		return nil, nil, silent.Load() // handled, with no response
	})
	mustRefuse(t, s)
	silent.Store(false)
	mustRecover(t, s)
}

// No purchase's timeout limits the request for the producer id, which precedes the first
// purchase. The broker reads nothing more on that connection, so it has to be closed.
func TestProducerIDIsNeverAnswered(t *testing.T) {
	t.Parallel()
	k := embedded(t)
	topic := k.Topic(t, "purchases", 3, nil)
	k.Embedded.Cluster.ControlKey(int16(kmsg.InitProducerID), func(kmsg.Request) (kmsg.Response, error, bool) {
		return nil, nil, true // handled, with no response, once
	})
	s := start(t, k.BootstrapServers, topic, newUpstream(t).URL)
	mustRefuse(t, s)
	mustRecover(t, s)
}

func TestUnknownTopic(t *testing.T) {
	t.Parallel()
	k := brokertest.Start(t)
	topic := brokertest.Unique("purchases")
	s := start(t, k.BootstrapServers, topic, newUpstream(t).URL)
	mustRefuse(t, s)
	if got := request(t, http.MethodGet, s.url+"/-/ready", ""); got.status != http.StatusServiceUnavailable {
		t.Errorf("ready = %d %s", got.status, got.body)
	}
	k.CreateTopic(t, topic, 3, nil)
	mustRecover(t, s)
}

// A broker that is slower than ACK_TIMEOUT: the client's retry with the same key makes the
// same event, so that it is stored once.
func TestSlowBroker(t *testing.T) {
	t.Parallel()
	k := embedded(t)
	topic := k.Topic(t, "purchases", 1, nil)
	s := start(t, k.BootstrapServers, topic, newUpstream(t).URL).ready(t)
	hold := holdProduce(k)
	mustRefuse(t, s, idempotencyHeader, "k-1")
	hold.release()
	var got reply
	await(t, "the retry is accepted", func() bool {
		got = s.buy(t, purchaseOf("u-1", 1), idempotencyHeader, "k-1")
		return got.status == http.StatusAccepted
	})
	for _, r := range k.Read(t, topic) {
		if id := decode(t, r).EventID; id != got.data(t).EventID {
			t.Errorf("event %s, but the retry returned %s", id, got.data(t).EventID)
		}
	}
}

// MAX_PENDING limits what waits: the next buy is refused at once.
func TestFullQueue(t *testing.T) {
	t.Parallel()
	hole := newBlackHole(t)
	s := start(t, hole.Addr().String(), "purchases", newUpstream(t).URL, "MAX_PENDING=5")
	var wg sync.WaitGroup
	var late, early atomic.Int32
	for range 20 {
		wg.Go(func() {
			begin := time.Now()
			got, err := tryRequest(http.MethodPost, s.url+"/buy", purchaseOf("u-1", 1))
			if err != nil || got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
				t.Errorf("buy = %d, %v", got.status, err)
			}
			if time.Since(begin) < 3*time.Second {
				early.Add(1)
			} else {
				late.Add(1)
			}
		})
	}
	wg.Wait()
	if late.Load() != 5 || early.Load() != 15 {
		t.Errorf("%d waited and %d were refused at once, want 5 and 15", late.Load(), early.Load())
	}
	metrics := string(request(t, http.MethodGet, s.url+"/metrics", "").body)
	if want := `kafka_produce_errors_total{reason="queue_full",topic="purchases"} 15`; !strings.Contains(metrics, want) {
		t.Errorf("no %s in the metrics", want)
	}
}

// Requests that wait leave nothing behind: neither if Kafka never answers, nor if the client
// disconnects first.
func TestNoGoroutineStays(t *testing.T) {
	hole := newBlackHole(t)
	s := start(t, hole.Addr().String(), "purchases", newUpstream(t).URL, "ACK_TIMEOUT=300ms")
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if got, err := tryRequest(http.MethodPost, s.url+"/buy", purchaseOf("u-1", 1)); err != nil || got.status != http.StatusServiceUnavailable {
				t.Errorf("buy = %d, %v", got.status, err)
			}
		})
		wg.Go(func() {
			impatient := http.Client{Timeout: 100 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
			if response, err := impatient.Post(s.url+"/buy", "", strings.NewReader(purchaseOf("u-1", 1))); err == nil {
				_ = response.Body.Close()
				t.Errorf("answered %d", response.StatusCode)
			}
		})
	}
	wg.Wait()
	await(t, "no goroutine waits for an acknowledgement", func() bool { return !inside("kafkax.(*Producer).Send") && !inside("main.(*server)") })
}
