package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/otlp"
	"shopstream/services/internal/testkit/brokertest"
	"shopstream/services/internal/testkit/collector"
)

// BenchmarkBuy compares acknowledged buys with a peer in the same run: the same handler with
// a Kafka that acknowledges at once. With one client it shows the latency of a buy, with many
// the throughput. Broker and clients share the processors with the service, so only the
// ratios mean something.
func BenchmarkBuy(b *testing.B) {
	k := brokertest.Start(b)
	topic := k.Topic(b, "purchases", 6, nil)
	cfg := config{Currency: "USD", PurchasesTopic: topic, AckTimeout: 10 * time.Second, ManagementAPIURL: "http://127.0.0.1:1"}
	producer := func(linger time.Duration) sender {
		p, err := kafkax.NewProducer(kafkax.Config{BootstrapServers: k.BootstrapServers, SecurityProtocol: "plaintext"},
			kafkax.ProducerConfig{AckTimeout: 10 * time.Second, MaxPending: 10000, Linger: linger}, "bench", slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			b.Fatal(err)
		}
		var running sync.WaitGroup
		running.Go(func() { _ = p.Run(context.Background()) })
		b.Cleanup(func() { p.Stop(context.Background()); running.Wait() })
		return p
	}
	for _, peer := range []struct {
		name  string
		kafka sender
	}{
		{"noop", fakeKafka{}},
		{"linger=0", producer(0)},
		{"linger=1ms", producer(time.Millisecond)},
		{"linger=5ms", producer(5 * time.Millisecond)},
	} {
		server := httptest.NewServer(newTestEngine(b, cfg, peer.kafka))
		b.Cleanup(server.Close)
		for _, clients := range []int{1, 64, 256} {
			b.Run(fmt.Sprintf("%s/clients=%d", peer.name, clients), func(b *testing.B) {
				hammer(b, strings.TrimPrefix(server.URL, "http://"), clients)
			})
		}
	}
}

// BenchmarkTracing shows what traces add to a buy, with a collector in the same process: as
// good as nothing where they are off. Its broker takes most of the time; what the service
// itself pays is in docs/performance.md.
func BenchmarkTracing(b *testing.B) {
	k := brokertest.Start(b)
	cfg := config{Currency: "USD", PurchasesTopic: k.Topic(b, "purchases", 6, nil), AckTimeout: 10 * time.Second, MaxPending: 10000, ManagementAPIURL: "http://127.0.0.1:1"}
	spans := collector.Start(b).URL
	for _, traces := range []struct {
		name string
		otlp.Config
	}{
		{"off", otlp.Config{}},
		{"none", otlp.Config{Endpoint: spans, Sampling: 0}},
		{"10%", otlp.Config{Endpoint: spans, Sampling: .1}},
		{"all", otlp.Config{Endpoint: spans, Sampling: 1}},
	} {
		log, reg := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
		tracer := otlp.New(traces.Config, "web-server", log, reg)
		p, err := kafkax.NewProducer(kafkax.Config{BootstrapServers: k.BootstrapServers, SecurityProtocol: "plaintext"}, cfg.producer(tracer), "bench", log, reg)
		if err != nil {
			b.Fatal(err)
		}
		var running sync.WaitGroup
		running.Go(func() { _ = p.Run(context.Background()) })
		b.Cleanup(func() { p.Stop(context.Background()); running.Wait(); tracer.Stop(context.Background()) })
		server := httptest.NewServer(newTracedEngine(b, cfg, p, tracer))
		b.Cleanup(server.Close)
		b.Run(traces.name, func(b *testing.B) {
			b.ReportAllocs()
			hammer(b, strings.TrimPrefix(server.URL, "http://"), 64)
		})
	}
}

// hammer sends b.N buys over that many persistent connections, one at a time on each, with as
// little work of its own as possible.
func hammer(b *testing.B, addr string, clients int) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	begin := processorTime(b)
	b.ResetTimer()
	for client := range clients {
		wg.Go(func() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			body := purchaseOf(fmt.Sprintf("u-%d", client), 19.99)
			request := fmt.Appendf(nil, "POST /api/v1/buy HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			reader := bufio.NewReader(conn)
			for left.Add(-1) >= 0 {
				if _, err := conn.Write(request); err != nil {
					b.Error(err)
					return
				}
				response, err := http.ReadResponse(reader, nil)
				if err != nil || response.StatusCode != http.StatusAccepted {
					b.Errorf("buy = %v, %v", response, err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "buys/s")
	b.ReportMetric(float64((processorTime(b)-begin).Microseconds())/float64(b.N), "cpu-us/buy")
}

// processorTime is the CPU time of this process so far: on a shared machine it is far less
// noisy than elapsed time.
func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
