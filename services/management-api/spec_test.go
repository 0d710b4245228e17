package main

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/goccy/go-yaml"
	"github.com/google/uuid"

	"shopstream/services/internal/health"
	"shopstream/services/internal/httpx"
	"shopstream/services/internal/telemetry"
)

// documented returns "METHOD /path" -> status codes, as openapi.yaml says.
func documented(t *testing.T) map[string][]int {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			Responses map[string]any
		}
	}
	if err := yaml.Unmarshal(spec, &doc); err != nil {
		t.Fatal(err)
	}
	routes := map[string][]int{}
	for path, methods := range doc.Paths {
		for method, operation := range methods {
			for code := range operation.Responses {
				n, err := strconv.Atoi(code)
				if err != nil {
					t.Fatalf("%s %s: status %q", method, path, code)
				}
				key := map[string]string{"get": "GET"}[method] + " " + path
				routes[key] = append(routes[key], n)
				slices.Sort(routes[key])
			}
		}
	}
	return routes
}

func TestSpecNamesEveryRoute(t *testing.T) {
	log, reg := telemetry.NewLogger(t.Output(), telemetry.Config{LogFormat: "json"}, "test"), telemetry.NewRegistry()
	engine := httpx.NewEngine(log, reg, health.New(reg))
	addRoutes(engine, newLookups(nil, topics{}, log))
	var routes []string
	for _, r := range engine.Routes() {
		routes = append(routes, r.Method+" "+specPath(r))
	}
	slices.Sort(routes)
	if want := slices.Sorted(maps.Keys(documented(t))); !slices.Equal(routes, want) {
		t.Errorf("routes\n%q\nbut openapi.yaml has\n%q", routes, want)
	}
}

func specPath(r gin.RouteInfo) string {
	return regexp.MustCompile(`:(\w+)`).ReplaceAllString(r.Path, "{$1}")
}

// Every documented status is provoked, and no other one is returned.
func TestSpecNamesEveryStatus(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	up := start(t, p.environ())
	down := start(t, p.environ("MONGO_URI=mongodb://127.0.0.1:1", "GROUP_ID="+p.group+"-2"))
	eventually(t, "ready", func() bool { r, _ := up.get(t, "/-/ready"); return r.StatusCode == http.StatusOK })
	known := p.insert(t, "ann", 1)[0].ID

	const list, byEvent = "/api/v1/purchases/", "/api/v1/purchases/by-event/"
	requests := map[string][]string{
		"GET /api/v1/purchases/{userid}":           {up.url + list + "ann", up.url + list + "ann?limit=0", down.url + list + "ann"},
		"GET /api/v1/purchases/by-event/{eventId}": {up.url + byEvent + known, up.url + byEvent + "x", up.url + byEvent + uuid.NewString(), down.url + byEvent + known},
	}
	for _, path := range []string{"/-/ready", "/-/healthy", "/health", "/metrics", "/openapi.yaml"} {
		requests["GET "+path] = []string{up.url + path, up.url + path + "?a=1&a=2", down.url + path}
	}
	for route, want := range documented(t) {
		seen := map[int]bool{}
		for _, target := range requests[route] {
			response, _ := up.get(t, target)
			seen[response.StatusCode] = true
		}
		if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
			t.Errorf("%s answers %v, openapi.yaml says %v", route, got, want)
		}
	}
}
