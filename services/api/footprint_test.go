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
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/testkit/brokertest"
	"shopstream/services/internal/testkit/podtest"
)

// TestMain turns this program into the service if a test starts it as such, so that its
// memory is what the kernel counts for a process.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_AS_SERVICE") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is the service in its own process.
type process struct {
	service
	pid int
}

func startProcess(t *testing.T, servers string, environ ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, os.Args[0])
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 20 * time.Second
	command.Env = append(environ, "TEST_AS_SERVICE=1", "KAFKA_BOOTSTRAP_SERVERS="+servers, "HTTP_ADDR=127.0.0.1:0")
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = command.Wait() })
	p := &process{pid: command.Process.Pid}
	lines := bufio.NewScanner(out)
	for p.url == "" && lines.Scan() {
		var entry struct{ Msg, Addr string }
		if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "serving" {
			p.url = "http://" + entry.Addr
		}
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	eventually(t, "the service to be ready", func() bool { return p.get(t, "/-/ready").status == http.StatusOK })
	return p
}

// startPod starts the service as a stack does. within checks that it has kept to the memory of
// its pod so far.
func startPod(t *testing.T, k *brokertest.Kafka) (s *process, within func(after string)) {
	t.Helper()
	pod := podtest.Of(t, "api", "READ_CONCURRENCY", "READ_BYTES_LIMIT")
	if k.Embedded == nil {
		t.Skip("a real broker takes no broken batch")
	}
	s = startProcess(t, k.BootstrapServers, append(pod.Environ, "READ_TIMEOUT=1m")...) // it is about memory, not time
	return s, func(after string) {
		t.Helper()
		pod.Within(t, s.pid, after)
	}
}

// together sends many requests at once, each of which is answered or told to come back.
func (p *process) together(t *testing.T, n int, path string) {
	t.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if a := p.get(t, path); a.status != http.StatusOK && a.status != http.StatusServiceUnavailable {
				t.Errorf("GET %s = %d %.200s", path, a.status, a.body)
			}
		})
	}
	wg.Wait()
}

// However many brokers have large batches, only so many are in memory.
func TestManyLeadersTakeNoMoreMemory(t *testing.T) {
	k := brokertest.StartCluster(t, 12)
	s, within := startPod(t, k)
	topic := k.Topic(t, "large", 12, map[string]string{"max.message.bytes": "20000000"})
	batch := brokertest.Batch{Records: brokertest.Values(slices.Repeat([][]byte{bytes.Repeat([]byte("x"), 10_000)}, 1500)...)}.Bytes(t)
	for p := range int32(12) {
		k.ProduceRaw(t, topic, p, batch)
	}
	if _, a := s.messages(t, "/messages?limit=10&topic="+topic); a.header.Get("X-Complete") != "true" {
		t.Errorf("one request is incomplete: %s", a.header.Get("X-Reason"))
	}
	within("one request to many leaders")
	s.together(t, 5, "/messages?limit=10&topic="+topic)
	within("five requests to many leaders at once")
}

// Whatever is requested, and by however many clients, the service stays within the
// memory of its pod.
func TestTheServiceStaysWithinItsPod(t *testing.T) {
	k := brokertest.Start(t)
	s, within := startPod(t, k)
	client := writer(t, k, kgo.ProducerLinger(5*time.Millisecond))
	fill := func(topic string, partitions, count, size int) {
		for done := 0; done < count; done += 500 {
			var records []*kgo.Record
			for i := range min(500, count-done) {
				records = append(records, &kgo.Record{Topic: topic, Partition: int32((done + i) % partitions), Value: bytes.Repeat([]byte("x"), size)})
			}
			write(t, client, records...)
		}
	}
	together := func(n int, path string) {
		t.Helper()
		s.together(t, n, path)
	}
	// quiet waits until its memory use no longer grows.
	quiet := func() {
		peak := podtest.Peak(t, s.pid)
		for since := time.Now(); time.Since(since) < 2*time.Second; time.Sleep(50 * time.Millisecond) {
			if p := podtest.Peak(t, s.pid); p > peak {
				peak, since = p, time.Now()
			}
		}
	}
	within("the start")

	bomb := k.Topic(t, "bomb", 1, nil)
	k.ProduceRaw(t, bomb, 0, brokertest.Batch{Codec: kgo.GzipCompression(), Records: brokertest.Values(bytes.Repeat([]byte("All work and no play makes Jack a dull boy. "), 150<<20/44))}.Bytes(t))
	fill(bomb, 1, 1, 10)
	together(8, "/messages?limit=1&topic="+bomb)
	together(8, "/messages?limit=2&topic="+bomb)
	within("a record that inflates to 150 MB")

	small := k.Topic(t, "small", 6, nil)
	fill(small, 6, 6000, 1000)
	together(200, "/messages?limit=1000&topic="+small)
	within("200 requests at once")

	// What is short in Kafka may be long in JSON.
	control := k.Topic(t, "control", 1, map[string]string{"max.message.bytes": "20000000"})
	for range 40 {
		write(t, client, &kgo.Record{Topic: control, Value: bytes.Repeat([]byte{1}, 800_000)})
	}
	together(20, "/messages?limit=10&topic="+control)
	within("control characters")

	many := k.Topic(t, "many", 50, nil)
	fill(many, 50, 5000, 10_000)
	together(8, "/messages?limit=1000&topic="+many)
	within("1,000 of 50 partitions")

	large := k.Topic(t, "large", 3, map[string]string{"max.message.bytes": "20000000"})
	fill(large, 3, 30, 900_000)
	together(50, "/messages?limit=10&topic="+large)
	within("records of 900 kB")

	wide := k.Topic(t, "wide", 1000, nil)
	fill(wide, 1000, 5000, 200)
	together(20, "/messages?limit=1000&topic="+wide)
	within("1,000 partitions")

	// These clients read only the beginning of their responses.
	idle := func(n int, path string) (leave func()) {
		var conns []net.Conn
		for range n {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
			_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		}
		return func() {
			for _, conn := range conns {
				conn.Close()
			}
		}
	}
	one := k.Topic(t, "one", 1, nil)
	fill(one, 1, 1000, 10_000)
	leave := idle(200, "/messages?limit=1000&topic="+one)
	quiet()
	within("200 responses that nobody reads")
	leave()
	leave = idle(50, "/messages/stream?topic="+many)
	fill(many, 50, 10_000, 10_000)
	quiet()
	within("50 streams that nobody reads")
	streams := func(n int) {
		eventually(t, fmt.Sprint(n, " streams"), func() bool {
			return strings.Contains(string(s.get(t, "/metrics").body), fmt.Sprintf("api_streams %d\n", n))
		})
	}
	huge := k.Topic(t, "huge", 1, map[string]string{"max.message.bytes": "20000000"})
	ten := brokertest.Values(slices.Repeat([][]byte{bytes.Repeat([]byte("x"), 10_000)}, 1000)...)
	for range 3 {
		k.ProduceRaw(t, huge, 0, brokertest.Batch{Records: ten}.Bytes(t))
	}
	together(50, "/messages?limit=10&topic="+huge)
	within("batches of 10 MB")

	text := bytes.Repeat([]byte("All work and no play makes Jack a dull boy. "), 10_000/44)
	var values [][]byte
	for range 4000 {
		values = append(values, text)
	}
	for _, batch := range []struct {
		name string
		brokertest.Batch
	}{
		{"of control characters", brokertest.Batch{Records: brokertest.Values(bytes.Repeat([]byte{1}, 800_000))}},
		{"in one Snappy block of 8 MB", brokertest.Batch{Codec: kgo.SnappyCompression(), Records: brokertest.Values(values[:800]...)}},
		{"with a zstd window of 8 MiB", brokertest.Batch{Window: 8 << 20, Records: brokertest.Values(values...)}},
		{"of 10 MB", brokertest.Batch{Records: ten}},
		{"with a record of 10 MB", brokertest.Batch{Records: brokertest.Values(bytes.Repeat([]byte("x"), 10_000_000))}},
		{"that inflates to 40 MB", brokertest.Batch{Codec: kgo.ZstdCompression(), Records: brokertest.Values(values...)}},
	} {
		leave()
		streams(0)
		topic := k.Topic(t, "streamed", 1, map[string]string{"max.message.bytes": "20000000"})
		leave = idle(50, "/messages/stream?topic="+topic)
		streams(maxStreams)
		k.ProduceRaw(t, topic, 0, batch.Bytes(t))
		quiet()
		within("50 streams of a batch " + batch.name)
	}
	defer leave()
	together(200, "/messages?limit=1000&topic="+small)
	within("200 requests at once beside them")
}
