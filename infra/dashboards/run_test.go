package dashboards

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/teststorage"
)

// recording is of real brokers: infra/alerts tells how it is made.
const recording = "../testdata/brokers/well.prom"

// record is what Prometheus would know after a run.
type record struct {
	*teststorage.TestStorage

	length time.Duration
	end    time.Time
}

// scraped runs the platform as `make run` does, uses it, and reads its metrics several times meanwhile.
func scraped(t *testing.T) record {
	t.Helper()
	bin := build(t)
	addresses := freeAddresses(t, 9)
	port := func(i int) string { return addresses[i][strings.LastIndex(addresses[i], ":")+1:] }
	shop, api, system, guard := "http://"+addresses[0], "http://"+addresses[2], "http://"+addresses[5], "http://"+addresses[8]
	start(t, bin, "local", "WEB_SERVER_ADDR="+addresses[0], "MANAGEMENT_API_ADDR="+addresses[1], "API_ADDR="+addresses[2],
		"PRODUCER_ADDR="+addresses[3], "CONSUMER_ADDR="+addresses[4], "SYSTEM_ADDR="+addresses[5], "KAFKA_PORT="+port(6), "MONGO_PORT="+port(7),
		"DATA_DIR="+t.TempDir(), "RATE=50")
	await(t, shop+"/-/ready")
	await(t, api+"/-/ready")
	// The embedded broker's id is 0, as the first of a stack.
	start(t, bin, "broker-guard", "HTTP_ADDR="+addresses[8], "NODE_ID=0", "KAFKA_BOOTSTRAP_SERVERS="+addresses[6], "PEERS=http://127.0.0.1:1/{index}")
	await(t, guard+"/-/healthy")

	r := record{TestStorage: teststorage.New(t)}
	begun := time.Now()
	for range 8 {
		use(t, shop, api)
		r.end = time.Now()
		r.add(t, read(t, system+"/federate"), nil)
		r.add(t, read(t, guard+"/metrics"), map[string]string{"service": "kafka", "pod": "kafka-0"})
		time.Sleep(time.Second)
	}
	r.length = (time.Since(begun) + time.Second).Round(time.Second)
	return r
}

// build builds the binaries of a run.
func build(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", folder)
	for _, name := range []string{"web-server", "management-api", "api", "producer", "consumer", "topics", "broker-guard", "dev/local"} {
		build.Args = append(build.Args, "./services/"+name)
	}
	build.Dir = "../.."
	build.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GOWORK=") })
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the services: %v\n%s", err, output)
	}
	return folder
}

// start runs a program until the test ends.
func start(t *testing.T, bin, name string, environ ...string) {
	t.Helper()
	var said output
	program := exec.Command(filepath.Join(bin, name))
	program.Env, program.Stdout, program.Stderr = append(os.Environ(), environ...), &said, &said
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = program.Process.Signal(os.Interrupt)
		_ = program.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, said.end())
		}
	})
}

// use does what fills the metrics: buys, also in vain, and reads.
func use(t *testing.T, shop, api string) {
	t.Helper()
	for i := range 10 {
		user := fmt.Sprintf("user-%d", i)
		ask(t, http.StatusAccepted, http.MethodPost, shop+"/api/v1/buy", fmt.Sprintf(`{"username":%q,"userid":%q,"price":9.99}`, user, user))
		ask(t, http.StatusOK, http.MethodGet, shop+"/api/v1/getAllUserBuys/"+user, "")
	}
	ask(t, http.StatusOK, http.MethodGet, api+"/messages?topic=orders&limit=10", "")
}

func ask(t *testing.T, want int, method, url, body string) []byte {
	t.Helper()
	answer, got, err := try(t.Context(), method, url, body)
	if err != nil || got != want {
		t.Fatalf("%s %s: %d %s (%v)", method, url, got, answer, err)
	}
	return answer
}

func try(ctx context.Context, method, url, body string) ([]byte, int, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	return answer, response.StatusCode, err
}

func await(t *testing.T, url string) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		var got int
		if _, got, err = try(t.Context(), http.MethodGet, url, ""); err == nil && got == http.StatusOK {
			return
		}
	}
	t.Fatalf("%s is not ready: %v", url, err)
}

func read(t *testing.T, url string) map[string]*dto.MetricFamily {
	t.Helper()
	return parse(t, ask(t, http.StatusOK, http.MethodGet, url, ""))
}

func parse(t *testing.T, text []byte) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// recorded is what the guards of three of Apache Kafka's brokers told, with TLS; the recording names the test that makes it. The
// guard must still tell all of it by these names.
func recorded(t *testing.T) (r record, metrics []string) {
	t.Helper()
	text, err := os.ReadFile(recording)
	if err != nil {
		t.Fatal(err)
	}
	var source []byte
	for _, name := range []string{"health.go", "certificate.go"} {
		text, err := os.ReadFile("../../services/broker-guard/" + name)
		if err != nil {
			t.Fatal(err)
		}
		source = append(source, text...)
	}
	families := parse(t, text)
	for name, family := range families {
		metrics = append(metrics, name)
		if !bytes.Contains(source, []byte(`NewDesc("`+name+`"`)) {
			t.Errorf("the guard doesn't tell %s any more: %s is stale", name, recording)
		}
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetName() != "pod" && !bytes.Contains(source, []byte(`"`+label.GetName()+`"`)) {
					t.Errorf("the guard's %s has no label %s any more: %s is stale", name, label.GetName(), recording)
				}
			}
		}
	}
	r = record{TestStorage: teststorage.New(t), length: time.Minute, end: time.Now()}
	r.add(t, families, map[string]string{"service": "kafka"})
	return r, metrics
}

// add stores a scrape, with labels that Prometheus adds.
func (r record) add(t *testing.T, families map[string]*dto.MetricFamily, more map[string]string) {
	t.Helper()
	samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.TimeFromUnixNano(r.end.UnixNano())}, slices.Collect(maps.Values(families))...)
	if err != nil {
		t.Fatal(err)
	}
	appender := r.Appender(t.Context())
	for _, s := range samples {
		b := labels.NewBuilder(labels.EmptyLabels())
		for name, value := range s.Metric {
			b.Set(string(name), string(value))
		}
		for name, value := range more {
			b.Set(name, value)
		}
		if _, err := appender.Append(0, b.Labels(), int64(s.Timestamp), float64(s.Value)); err != nil {
			t.Fatal(err)
		}
	}
	if err := appender.Commit(); err != nil {
		t.Fatal(err)
	}
}

func freeAddresses(t *testing.T, count int) []string {
	t.Helper()
	var all []string
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listener.Close() }()
		all = append(all, listener.Addr().String())
	}
	return all
}

// output keeps what a program says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) end() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()[max(0, o.text.Len()-10_000):]
}
