package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/bson"

	"shopstream/services/internal/httpx"
)

// insert stores purchases of one user directly in the database, with the given
// timestamps in seconds.
func (p *platform) insert(t *testing.T, userID string, seconds ...float64) []document {
	t.Helper()
	var documents []document
	for i, at := range seconds {
		d := document{
			ID: uuid.NewString(), UserID: userID, Username: "Ann", Price: float64(i+1) / 100, PriceMinor: int64(i + 1), Currency: "EUR", Timestamp: at,
		}
		if i%2 == 1 { // every other one names its product
			d.Product = fmt.Sprintf("Wool & silk <%d>", i)
		}
		documents = append(documents, d)
	}
	if _, err := p.collection.InsertMany(t.Context(), documents); err != nil {
		t.Fatal(err)
	}
	return documents
}

func newestFirst(a, b document) int {
	switch {
	case a.Timestamp != b.Timestamp && a.Timestamp > b.Timestamp:
		return -1
	case a.Timestamp != b.Timestamp:
		return 1
	}
	return strings.Compare(b.ID, a.ID)
}

func TestListIsNewestFirstAndPaged(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	s := start(t, p.environ())
	var seconds []float64
	for i := range 250 {
		seconds = append(seconds, 1767323045.000001+float64(i%40)) // many at the same moment
	}
	want := p.insert(t, "ann/ü & co?", seconds...)
	p.insert(t, "bob", 1, 2, 3)
	slices.SortFunc(want, newestFirst)

	for _, limit := range []int{13, 50, 250, 1000} {
		got := s.list(t, "ann/ü & co?", limit)
		if len(got) != len(want) {
			t.Fatalf("limit %d: %d purchases, want %d", limit, len(got), len(want))
		}
		for i := range want {
			if got[i] != purchaseOf(want[i]) {
				t.Fatalf("limit %d: number %d is %+v, want %+v", limit, i, got[i], purchaseOf(want[i]))
			}
		}
	}

	response, body := s.page(t, "/api/v1/purchases/"+url.PathEscape("ann/ü & co?"))
	if page := decodePage(t, body); len(page) != 100 {
		t.Errorf("%d purchases by default, want 100", len(page))
	}
	if next := nextOf(response); !strings.HasPrefix(next, "/api/v1/purchases/ann%2F%C3%BC%20&%20co%3F?before=") || !strings.HasSuffix(next, "&limit=100") {
		t.Errorf("next = %q", next)
	} else if cursor := response.Header.Get("X-Next-Cursor"); cursor == "" || !strings.Contains(next, "before="+cursor) {
		t.Errorf("X-Next-Cursor = %q of %q", cursor, next)
	}
	response, body = s.get(t, "/api/v1/purchases/bob?limit=3")
	if response.Header.Get("Link") != "" || len(decodePage(t, body)) != 3 {
		t.Errorf("exactly a page: %s, Link %q", body, response.Header.Get("Link"))
	}
	if want := `{"userid":"bob","username":"Ann","price":0.03,"timestamp":3,`; !strings.HasPrefix(string(body), "["+want) {
		t.Errorf("body = %s", body)
	}
}

func TestUsersWithoutPurchases(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	s := start(t, p.environ())
	for _, user := range []string{"nobody", "by-event", "by", "by-event2", "b", "%24where", "a%2Fb"} {
		response, body := s.get(t, "/api/v1/purchases/"+user)
		if response.StatusCode != http.StatusOK || string(body) != "[]" {
			t.Errorf("%s = %d %s, want 200 []", user, response.StatusCode, body)
		}
	}
}

func TestBadParametersAreNamed(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	s := start(t, p.environ())
	for path, want := range map[string][]string{
		"/api/v1/purchases/ann?limit=0":                                               {"limit"},
		"/api/v1/purchases/ann?limit=1001":                                            {"limit"},
		"/api/v1/purchases/ann?limit=-1":                                              {"limit"},
		"/api/v1/purchases/ann?limit=":                                                {"limit"},
		"/api/v1/purchases/ann?limit=ten":                                             {"limit"},
		"/api/v1/purchases/ann?limit=1e2":                                             {"limit"},
		"/api/v1/purchases/ann?before=":                                               {"before"},
		"/api/v1/purchases/ann?before=5":                                              {"before"},
		"/api/v1/purchases/ann?before=a&limit=9999":                                   {"limit", "before"},
		"/api/v1/purchases/%FF%FE":                                                    {"userid"},
		"/api/v1/purchases/ann?limit=5&limit=6":                                       {"limit"},
		"/api/v1/purchases/by-event/17":                                               {"eventId"},
		"/api/v1/purchases/by-event/" + strings.ReplaceAll(uuid.NewString(), "-", ""): {"eventId"},
	} {
		response, body := s.get(t, path)
		var problem httpx.Problem
		if err := json.Unmarshal(body, &problem); err != nil || response.StatusCode != http.StatusBadRequest ||
			response.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s = %d %s", path, response.StatusCode, body)
			continue
		}
		var got []string
		for _, f := range problem.Errors {
			got = append(got, f.Field)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s names %v, want %v", path, got, want)
		}
	}
}

// Successive pages contain each purchase that existed at the first page once, whatever is
// bought meanwhile.
func TestPagingWhilePurchasesArrive(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	s := start(t, p.environ())
	now := float64(time.Now().Unix())
	var seconds []float64
	for i := range 300 {
		seconds = append(seconds, now-float64(i/3))
	}
	before := map[string]bool{}
	for _, d := range p.insert(t, "ann", seconds...) {
		before[d.ID] = true
	}

	for round := range 3 {
		seen := map[string]int{}
		path := fmt.Sprintf("/api/v1/purchases/ann?limit=%d", 20+round)
		for number := 0; path != ""; number++ {
			response, body := s.page(t, path)
			for _, got := range decodePage(t, body) {
				seen[got.EventID]++
			}
			path = nextOf(response)
			// One at the top, one in the middle of the pages to come, and one at the exact
			// time where the page ended.
			p.insert(t, "ann", float64(time.Now().Unix()), now-float64(number*7), now-float64(number*(20+round)/3))
		}
		for id, n := range seen {
			if n > 1 {
				t.Errorf("round %d: %s came %d times", round, id, n)
			}
		}
		for id := range before {
			if seen[id] == 0 {
				t.Errorf("round %d: %s is missing", round, id)
			}
		}
	}
}

// What earlier versions have stored has the steps, without places.
func TestByEvent(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	s := start(t, p.environ())
	stored := p.insert(t, "ann", 1767323045.678901)[0]
	refused := uuid.NewString()
	replayed := p.insert(t, "bob", 5)[0].ID // was refused first, and stored later
	for _, id := range []string{refused, replayed} {
		if _, err := p.collection.Database().Collection("dead_letters").InsertOne(t.Context(), deadLetter{ID: id, Reason: "invalid", Error: "price is required", At: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)}); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		stored.ID:                fmt.Sprintf(`{"eventId":%q,"state":"stored","purchase":{"userid":"ann","username":"Ann","price":0.01,"timestamp":1767323045.678901,"eventId":%q,"priceMinor":1,"currency":"EUR"},"way":[{"step":"accepted","at":"2026-01-02T03:04:05.678901Z"},{"step":"stored"}]}`, stored.ID, stored.ID),
		strings.ToUpper(refused): fmt.Sprintf(`{"eventId":%q,"state":"dead-lettered","reason":"invalid","error":"price is required","way":[{"step":"accepted"},{"step":"dead-lettered","at":"2026-01-02T03:04:06Z"}]}`, refused),
	} {
		response, body := s.get(t, "/api/v1/purchases/by-event/"+path)
		if response.StatusCode != http.StatusOK || string(body) != want {
			t.Errorf("%s = %d %s\nwant %s", path, response.StatusCode, body, want)
		}
	}
	if _, body := s.get(t, "/api/v1/purchases/by-event/"+replayed); !strings.Contains(string(body), `"state":"stored"`) {
		t.Errorf("replayed = %s", body)
	}
	if response, body := s.get(t, "/api/v1/purchases/by-event/"+uuid.NewString()); response.StatusCode != http.StatusNotFound {
		t.Errorf("unknown = %d %s", response.StatusCode, body)
	}
}

func TestAnUnreachableDatabaseIsReportedInTime(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	x := p.throughProxy(t)
	s := start(t, p.environ())
	eventually(t, "ready", func() bool { r, _ := s.get(t, "/-/ready"); return r.StatusCode == http.StatusOK })
	x.cut()
	for _, path := range []string{"/api/v1/purchases/ann", "/api/v1/purchases/by-event/" + uuid.NewString()} {
		begun := time.Now()
		response, body := s.get(t, path)
		after, err := strconv.Atoi(response.Header.Get("Retry-After"))
		if response.StatusCode != http.StatusServiceUnavailable || err != nil || after < 1 || !strings.Contains(string(body), `"status":503`) {
			t.Errorf("%s = %d %s, Retry-After %q", path, response.StatusCode, body, response.Header.Get("Retry-After"))
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%s took %v", path, took)
		}
	}
	eventually(t, "not ready", func() bool {
		r, body := s.get(t, "/-/ready")
		return r.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(body), `"kafka":"up"`) && strings.Contains(string(body), `"mongo":"down`)
	})
	if r, _ := s.get(t, "/-/healthy"); r.StatusCode != http.StatusOK {
		t.Error("a process without its database is alive all the same")
	}
	x.restore()
	eventually(t, "ready again", func() bool { r, _ := s.get(t, "/-/ready"); return r.StatusCode == http.StatusOK })
	if response, body := s.get(t, "/api/v1/purchases/ann"); response.StatusCode != http.StatusOK {
		t.Errorf("list = %d %s", response.StatusCode, body)
	}
}

func TestIndexIsCreated(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	start(t, p.environ())
	eventually(t, "the index", func() bool {
		found, err := p.collection.Indexes().List(t.Context())
		if err != nil {
			return false
		}
		var indexes []struct{ Key bson.D }
		if err := found.All(t.Context(), &indexes); err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(indexes, func(i struct{ Key bson.D }) bool {
			return len(i.Key) == 3 && i.Key[0].Key == "userid" && i.Key[1].Key == "timestamp" && i.Key[2].Key == "_id"
		})
	})
}
