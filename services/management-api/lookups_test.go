package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/bson"

	"shopstream/services/internal/health"
	"shopstream/services/internal/httpx"
)

// answering returns lookups in a database, and what they answer.
func answering(t *testing.T, mongoURI, database string) (l *lookups, get func(ctx context.Context, path string) *httptest.ResponseRecorder) {
	t.Helper()
	l = newLookups(newStore(connect(t, mongoURI), database, "purchases"), topics{}, slog.New(slog.DiscardHandler))
	reg := prometheus.NewRegistry()
	engine := httpx.NewEngine(l.log, reg, health.New(reg))
	addRoutes(engine, l)
	return l, func(ctx context.Context, path string) *httptest.ResponseRecorder {
		got := httptest.NewRecorder()
		engine.ServeHTTP(got, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
		return got
	}
}

// However many requests come, there are connections and memory left to store purchases.
func TestLookupsAreLimited(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	byEvent := "/api/v1/purchases/by-event/" + uuid.NewString()
	for name, others := range map[string]struct{ requests, documents int }{
		"long lists": {4, maxLimit + 1},
		"events":     {64, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, get := answering(t, p.mongoURI, p.database)
			var ends []func()
			for range others.requests {
				c, _ := gin.CreateTestContext(httptest.NewRecorder())
				c.Request = httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
				_, end, ok := l.begin(c, others.documents)
				if !ok {
					t.Fatalf("there is no room for request %d", len(ends))
				}
				ends = append(ends, end)
			}
			if got := get(t.Context(), byEvent); got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") == "" || !strings.Contains(got.Body.String(), "too many requests") {
				t.Errorf("beside them: %d %s", got.Code, got.Body)
			}
			for _, end := range ends {
				end()
			}
			if got := get(t.Context(), byEvent); got.Code != http.StatusNotFound {
				t.Errorf("after them: %d %s", got.Code, got.Body)
			}
		})
	}
}

// Web-server's clients leave, and its request with them: that is no failure, so no alert
// counts it.
func TestAClientThatLeavesIsNoFailure(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_, get := answering(t, "mongodb://"+silent.Addr().String(), "shopping")
	for _, path := range []string{"/api/v1/purchases/ann", "/api/v1/purchases/by-event/" + uuid.NewString()} {
		ctx, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if got := get(ctx, path); got.Code != httpx.StatusClientGone {
			t.Errorf("GET %s = %d %s", path, got.Code, got.Body)
		}
		leave()
	}
}

// The original system let the database choose the ids. No retry makes such a document a
// purchase of ours.
func TestAForeignDocumentIsNoOutage(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.insert(t, "ann", 1)
	if _, err := p.collection.InsertOne(t.Context(), bson.D{{Key: "userid", Value: "ben"}, {Key: "username", Value: "Ben"}, {Key: "price", Value: 1.5}, {Key: "timestamp", Value: 2.5}}); err != nil {
		t.Fatal(err)
	}
	_, get := answering(t, p.mongoURI, p.database)
	if got := get(t.Context(), "/api/v1/purchases/ben"); got.Code != http.StatusInternalServerError || got.Header().Get("Retry-After") != "" {
		t.Errorf("a list with it: %d %s", got.Code, got.Body)
	}
	if got := get(t.Context(), "/api/v1/purchases/ann"); got.Code != http.StatusOK {
		t.Errorf("another list: %d %s", got.Code, got.Body)
	}
}
