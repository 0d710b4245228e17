// Package httpx is the HTTP side that all services share: the engine with its
// middleware, the operational routes, problem answers and the server actor.
package httpx

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"shopstream/services/internal/health"
	"shopstream/services/internal/trace"
)

// NewEngine returns an engine that recovers from panics, logs and measures every
// request, refuses malformed ones, answers unknown routes with problems, and
// serves the operational routes:
//
//	GET /health     200 {"status":"ok","timestamp":…} while the process serves
//	GET /-/healthy  200 {"status":"alive"}
//	GET /-/ready    200 or 503, with the state of each dependency
//	GET /metrics    Prometheus text
func NewEngine(log *slog.Logger, reg *prometheus.Registry, h *health.Health) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	// A user id may contain an encoded slash: match on the escaped path.
	engine.UseRawPath = true
	engine.UnescapePathValues = true
	engine.HandleMethodNotAllowed = true
	// No proxy is trusted: nothing here depends on the client's address.
	_ = engine.SetTrustedProxies(nil)

	engine.Use(measure(reg, engine.Routes), recoverer(log), logger(log), strict)
	engine.NoRoute(func(c *gin.Context) { Abort(c, http.StatusNotFound, "no such route") })
	engine.NoMethod(handleOtherMethod)

	engine.GET("/health", func(c *gin.Context) {
		c.JSON(http.StatusOK, gin.H{"status": "ok", "timestamp": time.Now().UTC().Format(time.RFC3339Nano)})
	})
	engine.GET("/-/healthy", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "alive"}) })
	engine.GET(readyPath, handleReady(h))
	engine.GET("/metrics", gin.WrapH(promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		Registry:          reg,
		EnableOpenMetrics: true, // for scrapers that ask for it: the other format has no exemplars
	})))
	return engine
}

const readyPath = "/-/ready"

func handleReady(h *health.Health) gin.HandlerFunc {
	return func(c *gin.Context) {
		ready, status, dependencies := h.Ready()
		body := gin.H{"status": status}
		for name, state := range dependencies {
			body[name] = state
		}
		if !ready {
			c.JSON(http.StatusServiceUnavailable, body)
			return
		}
		c.JSON(http.StatusOK, body)
	}
}

// ServeSpec serves a service's OpenAPI description at /openapi.yaml.
func ServeSpec(engine *gin.Engine, spec []byte) {
	engine.GET("/openapi.yaml", func(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", spec) })
}

// measure counts and times requests by route template, never by raw path:
// the number of label values stays bounded. With the first request, which is a
// probe or a scrape, every route gets the series that alerts read: for a counter
// that first appears with an error, increase() would return 0.
func measure(reg prometheus.Registerer, routes func() gin.RoutesInfo) gin.HandlerFunc {
	requests := promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total",
		Help: "HTTP requests answered.",
	}, []string{"method", "route", "code"})
	duration := promauto.With(reg).NewHistogramVec(prometheus.HistogramOpts{
		Name:    "http_request_duration_seconds",
		Help:    "Time to answer an HTTP request.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"method", "route"})
	initialise := sync.OnceFunc(func() {
		for _, r := range routes() {
			duration.WithLabelValues(r.Method, r.Path)
			for _, code := range watchedCodes {
				requests.WithLabelValues(r.Method, r.Path, strconv.Itoa(code))
			}
		}
	})
	return func(c *gin.Context) {
		start := time.Now()
		initialise()
		c.Next()
		route := c.FullPath()
		if route == "" {
			route = "unmatched"
		}
		method := boundedMethod(methodOf(c.Request))
		requests.WithLabelValues(method, route, strconv.Itoa(c.Writer.Status())).Inc()
		trace.Observe(c.Request.Context(), duration.WithLabelValues(method, route), time.Since(start).Seconds())
	}
}

// watchedCodes are the status codes that alerts count: accepted purchases, and
// the answers of a failing service.
var watchedCodes = []int{
	http.StatusAccepted,
	http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

func boundedMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

func recoverer(log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			// net/http's own signal that the client has disconnected: not a fault here.
			if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(cause)
			}
			log.ErrorContext(c.Request.Context(), "handler panicked", "cause", cause, "path", c.Request.URL.Path, "stack", string(debug.Stack()))
			Abort(c, http.StatusInternalServerError, "internal error")
		}()
		c.Next()
		// A value that can't be encoded would leave an empty answer with status 200.
		if err := c.Errors.Last(); err != nil && !c.Writer.Written() {
			log.ErrorContext(c.Request.Context(), "an answer could not be encoded", "error", err, "path", c.Request.URL.Path)
			Abort(c, http.StatusInternalServerError, "internal error")
		}
	}
}

func logger(log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		start := time.Now()
		c.Next()
		level := slog.LevelDebug
		// A failed readiness probe is not logged: the answer and the metrics say
		// why.
		if c.Writer.Status() >= http.StatusInternalServerError && c.FullPath() != readyPath {
			level = slog.LevelWarn
		}
		if !log.Enabled(c.Request.Context(), level) {
			return
		}
		log.Log(c.Request.Context(), level, "request",
			"method", methodOf(c.Request), "path", c.Request.URL.Path, "status", c.Writer.Status(), "took", time.Since(start))
	}
}
