package main

import (
	"encoding/base64"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/health"
	"shopstream/services/internal/httpx"
	"shopstream/services/internal/testkit/brokertest"
)

func TestEveryRouteIsDescribed(t *testing.T) {
	var description struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(spec, &description); err != nil {
		t.Fatal(err)
	}
	var described []string
	for path, methods := range description.Paths {
		for method := range methods {
			described = append(described, strings.ToUpper(method)+" "+path)
		}
	}
	log, reg := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	h := health.New(reg)
	engine := httpx.NewEngine(log, reg, h)
	if err := newServer(config{ReadConcurrency: 1}, nil, nil, h, log, reg).routes(engine); err != nil {
		t.Fatal(err)
	}
	parameter := regexp.MustCompile(`:(\w+)`)
	var served []string
	for _, r := range engine.Routes() {
		if r.Path == "/" || strings.HasPrefix(r.Path, "/viewer") || strings.HasPrefix(r.Path, "/system") {
			continue // the pages are not part of the API
		}
		served = append(served, r.Method+" "+parameter.ReplaceAllString(r.Path, "{$1}"))
	}
	slices.Sort(described)
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("described: %v\nserved: %v", described, served)
	}
}

// What causes 500 and 504, and what Kafka forbids, is covered by the tests of those
// faults.
func TestEveryAnswerIsDescribed(t *testing.T) {
	var description struct {
		Paths map[string]struct {
			Get struct{ Responses map[string]any }
		}
	}
	if err := yaml.Unmarshal(spec, &description); err != nil {
		t.Fatal(err)
	}
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	down := launch(t, "127.0.0.1:1")
	guarded := start(t, k.BootstrapServers, "API_TOKEN=s3cret")
	topic := k.Topic(t, "described", 1, nil)
	for path, query := range map[string]map[string]int{
		"/messages":                    {"topic=" + topic: 200, "limit=0": 400, "topic=__x": 403, "topic=absent": 404},
		"/messages/stream":             {"partition=-1": 400, "topic=__x": 403, "topic=absent": 404},
		"/topics":                      {"": 200},
		"/groups":                      {"": 200},
		"/brokers":                     {"": 200},
		"/topics/" + topic + "/config": {"": 200},
		"/openapi.yaml":                {"": 200},
		"/health":                      {"": 200},
		"/-/healthy":                   {"": 200},
		"/-/ready":                     {"": 200},
		"/metrics":                     {"": 200},
	} {
		got := map[string]int{"twice": s.get(t, path+"?a=1&a=2").status, "no token": guarded.get(t, path).status, "no Kafka": down.get(t, path).status}
		for q, want := range query {
			if got[q] = s.get(t, path+"?"+q).status; got[q] != want {
				t.Errorf("GET %s?%s = %d, want %d", path, q, got[q], want)
			}
		}
		for reason, status := range got {
			if _, ok := description.Paths[strings.Replace(path, topic, "{topic}", 1)].Get.Responses[strconv.Itoa(status)]; !ok {
				t.Errorf("GET %s (%s) = %d, which is not described", path, reason, status)
			}
		}
		if got["twice"] != 400 {
			t.Errorf("GET %s with a parameter twice = %d", path, got["twice"])
		}
	}
}

func TestTokenGuardsAllButTheOperationalRoutes(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers, "API_TOKEN=s3cret")
	topic := k.Topic(t, "guarded", 1, nil)
	basic := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	for _, path := range []string{"/health", "/-/healthy", "/-/ready", "/metrics"} {
		if a := s.get(t, path); a.status != http.StatusOK {
			t.Errorf("GET %s without a token = %d", path, a.status)
		}
	}
	for _, path := range []string{"/", "/viewer", "/viewer/app.js", "/system", "/system/system.js", "/messages?topic=" + topic, "/messages/stream?topic=" + topic, "/topics", "/topics/" + topic + "/config", "/groups", "/brokers", "/openapi.yaml", "/nowhere"} {
		for _, wrong := range []string{"", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret2", "bearers3cret", "Digest s3cret", basic("s3cret", ""), basic("", "")} {
			a := s.get(t, path, "Authorization", wrong)
			if a.status != http.StatusUnauthorized {
				t.Fatalf("GET %s with %q = %d", path, wrong, a.status)
			}
			a.problem(t)
			if got := a.header.Values("WWW-Authenticate"); len(got) != 2 || !strings.HasPrefix(got[0], "Bearer") || !strings.HasPrefix(got[1], "Basic") {
				t.Fatalf("challenges %q", got)
			}
		}
	}
	for _, right := range []string{"Bearer s3cret", "bearer s3cret", basic("anyone", "s3cret"), basic("", "s3cret")} {
		for path, want := range map[string]int{"/messages?topic=" + topic: 200, "/viewer": 200, "/": 302, "/topics": 200, "/nowhere": 404} {
			if a := s.get(t, path, "Authorization", right); a.status != want {
				t.Errorf("GET %s with %q = %d, want %d", path, right, a.status, want)
			}
		}
	}
}

func TestViewerIsServedStrictly(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	if a := s.get(t, "/"); a.status != http.StatusFound || a.header.Get("Location") != "/viewer" {
		t.Errorf("/ = %d %v", a.status, a.header)
	}
	a := s.get(t, "/viewer")
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(string(a.body), "<html") {
		t.Errorf("/viewer = %d %v", a.status, a.header)
	}
	csp := a.header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") {
		t.Errorf("policy %q", csp)
	}
	etag := a.header.Get("ETag")
	if a.header.Get("Cache-Control") != "no-cache" || etag == "" {
		t.Errorf("caching %v", a.header)
	}
	if a := s.get(t, "/viewer", "If-None-Match", etag); a.status != http.StatusNotModified || len(a.body) > 0 {
		t.Errorf("with the same ETag: %d", a.status)
	}
	// What the page refers to exists, and nothing comes from other hosts.
	for _, link := range regexp.MustCompile(`(?:src|href)="(/viewer[^"#]*|https?:[^"]*)"`).FindAllStringSubmatch(string(a.body), -1) {
		if strings.HasPrefix(link[1], "http") {
			t.Errorf("the page refers to %s", link[1])
		} else if a := s.get(t, link[1]); a.status != http.StatusOK {
			t.Errorf("GET %s = %d", link[1], a.status)
		}
	}
	for _, path := range []string{"/viewer/no.js", "/viewer/..%2fmain.go", "/viewer/../main.go"} {
		if a := s.get(t, path); a.status != http.StatusNotFound {
			t.Errorf("GET %s = %d", path, a.status)
		}
	}
}

func TestMetricsAreBoundedAndCount(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "counted", 2, nil)
	client := writer(t, k)
	for i := range 9 {
		write(t, client, &kgo.Record{Topic: topic, Partition: int32(i % 2)})
	}
	s.messages(t, "/messages?limit=5&topic="+topic)
	s.get(t, "/messages?topic=absent")
	s.get(t, "/nowhere/"+topic)
	metrics := string(s.get(t, "/metrics").body)
	for _, want := range []string{
		`api_requests_total{endpoint="/messages"} 2`,
		`api_requests_total{endpoint="unmatched"} 1`,
		`api_messages_consumed_total 5`,
		`messages_read_duration_seconds_count{complete="true"} 1`,
		`dependency_up{dependency="kafka"} 1`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(metrics, topic) {
		t.Error("a label's value comes from a client's request")
	}
	if a := s.get(t, "/openapi.yaml"); a.status != http.StatusOK || !strings.HasPrefix(string(a.body), "openapi: 3.1") {
		t.Errorf("/openapi.yaml = %d", a.status)
	}
}
