package httpx_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"shopstream/services/internal/health"
	"shopstream/services/internal/httpx"
	"shopstream/services/internal/lifecycle"
)

// serve runs an engine with routes as a service does, until the test stops it.
func serve(t *testing.T, cfg httpx.Config, routes func(*gin.Engine)) (url string, stop func() error) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	reg := prometheus.NewRegistry()
	h := health.New(reg)
	engine := httpx.NewEngine(log, reg, h)
	routes(engine)
	l, err := httpx.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- lifecycle.Run(ctx, log, cfg.ShutdownTimeout, httpx.Server(log, cfg, l, engine, h), lifecycle.Actor{Name: "health", Run: h.Run})
	}()
	t.Cleanup(cancel)
	return "http://" + l.Addr().String(), func() error { cancel(); return <-ended }
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestOperationalRoutes(t *testing.T) {
	url, _ := serve(t, httpx.Config{ShutdownTimeout: time.Second}, func(e *gin.Engine) {
		e.GET("/users/:id", func(c *gin.Context) { c.String(http.StatusOK, c.Param("id")) })
		e.GET("/panic", func(*gin.Context) { panic("boom") })
	})
	tests := []struct {
		path   string
		status int
		want   string
	}{
		{"/health", 200, `"status":"ok"`},
		{"/-/healthy", 200, `"status":"alive"`},
		{"/-/ready", 200, `"status":"ready"`},
		{"/users/a%2Fb", 200, "a/b"}, // an encoded slash belongs to the value
		{"/users/a+b", 200, "a+b"},
		{"/users/a+b%2Fc", 200, "a+b/c"}, // a plus in a path is not a space
		{"/panic", 500, `"detail":"internal error"`},
		{"/nowhere", 404, `"detail":"no such route"`},
	}
	for _, tt := range tests {
		if status, body := get(t, url+tt.path); status != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("GET %s = %d %s, want %d with %s", tt.path, status, body, tt.status, tt.want)
		}
	}
	_, metrics := get(t, url+"/metrics")
	for _, want := range []string{
		`http_requests_total{code="200",method="GET",route="/users/:id"} 3`,
		`http_requests_total{code="404",method="GET",route="unmatched"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func TestProblemsHaveTheStandardForm(t *testing.T) {
	url, _ := serve(t, httpx.Config{ShutdownTimeout: time.Second}, func(e *gin.Engine) {
		e.GET("/list", func(c *gin.Context) {
			limit, fault := httpx.QueryInt(c, "limit", 10, 1, 100)
			if fault != nil {
				httpx.Abort(c, http.StatusBadRequest, "bad parameter", *fault)
				return
			}
			c.JSON(http.StatusOK, limit)
		})
	})
	for query, want := range map[string]int{"": 200, "?limit=1": 200, "?limit=": 400, "?limit=0": 400, "?limit=101": 400, "?limit=ten": 400, "?limit=1e1": 400, "?limit=%2B5": 400, "?limit=05": 400, "?limit=5&limit=6": 400} {
		status, body := get(t, url+"/list"+query)
		if status != want {
			t.Errorf("%q = %d, want %d", query, status, want)
		}
		if status != http.StatusBadRequest {
			continue
		}
		var p httpx.Problem
		if err := json.Unmarshal([]byte(body), &p); err != nil || p.Status != 400 || len(p.Errors) != 1 || p.Errors[0].Field != "limit" {
			t.Errorf("%q: problem = %+v, %v", query, p, err)
		}
	}
}

func TestRequestsInFlightFinishBeforeTheEnd(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	url, stop := serve(t, httpx.Config{ShutdownTimeout: 5 * time.Second}, func(e *gin.Engine) {
		e.GET("/slow", func(c *gin.Context) {
			close(started)
			<-release
			c.String(http.StatusOK, "done: %v", c.Request.Context().Err())
		})
	})
	answer := make(chan string, 1)
	go func() {
		response, err := http.Get(url + "/slow")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		answer <- string(body)
	}()
	<-started
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	// The listener closes first: once it refuses connections, the shutdown has begun.
	for {
		response, err := http.Get(url + "/health")
		if err != nil {
			break
		}
		response.Body.Close()
		time.Sleep(5 * time.Millisecond)
	}
	close(release)
	if got := <-answer; got != "done: <nil>" {
		t.Errorf("answer = %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

// While a service drains, it answers and then closes the connection, so that the next
// request goes to another pod.
func TestAnswersWhileDrainingCloseTheirConnection(t *testing.T) {
	url, stop := serve(t, httpx.Config{DrainDelay: time.Minute, ShutdownTimeout: 5 * time.Second}, func(*gin.Engine) {})
	status := func() (int, bool) {
		response, err := http.Get(url + "/-/ready")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode, response.Close
	}
	if code, closed := status(); code != http.StatusOK || closed {
		t.Errorf("before the drain: %d, connection closed: %v", code, closed)
	}
	go func() { _ = stop() }()
	for {
		code, closed := status()
		if code == http.StatusServiceUnavailable {
			if !closed {
				t.Error("the connection stays open while the service drains")
			}
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestAPortInUseIsNamed(t *testing.T) {
	l, err := httpx.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = httpx.Listen(t.Context(), httpx.Addr(l.Addr().String()))
	if err == nil || !strings.Contains(err.Error(), "HTTP_ADDR") || !strings.Contains(err.Error(), "in use") {
		t.Errorf("err = %v", err)
	}
}
