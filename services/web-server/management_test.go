package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"shopstream/services/internal/httpx"
	"shopstream/services/internal/testkit/brokertest"
	"shopstream/services/internal/testkit/freeport"
)

// withUpstream serves the API with the test's management-api.
func withUpstream(t testing.TB) (url string, u *upstream) {
	t.Helper()
	u = newUpstream(t)
	return serveWith(t, config{Currency: "USD", ManagementAPIURL: u.URL}, fakeKafka{}), u
}

func answerJSON(body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}
}

func TestUserBuysPassesThePageOn(t *testing.T) {
	shop, u := withUpstream(t)
	const page = `[{"userid":"u-1","username":"Ann","price":1.5,"timestamp":1767323045.678901}]`
	for _, path := range []string{"/api/v1/getAllUserBuys/u-1", "/getAllUserBuys/u-1"} {
		u.answer(answerJSON(page, "Link", `</api/v1/purchases/u-1>; rel="first"`, "Link", `<`+u.URL+`/api/v1/purchases/u-1?before=abc%3D&limit=2>; rel="next"`))
		got := request(t, http.MethodGet, shop+path+"?limit=2&before=x%2By&evil=1", "")
		if got.status != http.StatusOK || string(got.body) != page || !strings.HasPrefix(got.header.Get("Content-Type"), "application/json") {
			t.Errorf("GET %s = %d %s", path, got.status, got.body)
		}
		if next := got.header.Get("X-Next-Cursor"); next != "abc=" {
			t.Errorf("X-Next-Cursor = %q", next)
		}
		if want := `<` + path + `?before=abc%3D&limit=2>; rel="next"`; got.header.Get("Link") != want {
			t.Errorf("Link = %q, want %q", got.header.Get("Link"), want)
		}
		if want := "/api/v1/purchases/u-1?before=x%2By&limit=2"; u.lastAsked() != want {
			t.Errorf("asked %q, want %q", u.lastAsked(), want)
		}
	}
	u.answer(answerJSON(`[]`))
	if got := request(t, http.MethodGet, shop+"/getAllUserBuys/u-1", ""); got.header.Get("Link") != "" || string(got.body) != `[]` {
		t.Errorf("last page = %v %s", got.header, got.body)
	}
}

// User ids must arrive unchanged, through both services' paths.
func TestUserIDsSurviveThePath(t *testing.T) {
	k := brokertest.Start(t)
	u := newUpstream(t)
	s := start(t, k.BootstrapServers, k.Topic(t, "purchases", 1, nil), u.URL) // the real server, because of its handling of paths
	u.answer(answerJSON(`[]`))
	for _, user := range []string{"u-1", "a/b", "a//b/", "..", ".", "a+b", "a+b/c", "a b", "ünï/漢字🛒", "50%", "%2F", "a?b#c", `q"<>\`, "a;b,c=d&e", ":x"} {
		escaped := url.PathEscape(user)
		if strings.Trim(user, ".") == "" {
			escaped = strings.ReplaceAll(user, ".", "%2E")
		}
		got := request(t, http.MethodGet, s.url+"/api/v1/getAllUserBuys/"+escaped, "")
		asked, err := url.ParseRequestURI(u.lastAsked())
		if err != nil {
			t.Fatal(err)
		}
		segment, one := strings.CutPrefix(asked.EscapedPath(), "/api/v1/purchases/")
		plain, err := url.PathUnescape(segment)
		if got.status != http.StatusOK || !one || err != nil || plain != user || strings.Contains(segment, "/") {
			t.Errorf("%q: %d, asked for %s", user, got.status, u.lastAsked())
		}
	}
}

// Lists may be long, and clients slow: only so many are in memory at once.
func TestListsAreLimited(t *testing.T) {
	shop, u := withUpstream(t)
	asked, release := make(chan struct{}, 8), make(chan struct{})
	u.answer(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-release
		_, _ = io.WriteString(w, `[]`)
	})
	var others sync.WaitGroup
	defer others.Wait()
	for range 8 {
		others.Go(func() {
			if got := request(t, http.MethodGet, shop+"/getAllUserBuys/u-1?limit=1000", ""); got.status != http.StatusOK {
				t.Errorf("one of eight long lists: %d %s", got.status, got.body)
			}
		})
	}
	for range 8 {
		<-asked
	}
	if got := request(t, http.MethodGet, shop+"/getAllUserBuys/u-2", ""); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("beside them: %d %s", got.status, got.body)
	}
	close(release)
	others.Wait()
	if got := request(t, http.MethodGet, shop+"/getAllUserBuys/u-2", ""); got.status != http.StatusOK {
		t.Errorf("after them: %d %s", got.status, got.body)
	}
}

func TestUpstreamStatuses(t *testing.T) {
	shop, u := withUpstream(t)
	const id = "019b7b5c-5b1e-7a3c-8f00-0123456789ab"
	for upstreamStatus, want := range map[int][2]int{ // for the list, for the state
		400: {400, 400}, 404: {404, 200}, 503: {503, 503}, 504: {504, 504},
		500: {502, 502}, 502: {502, 502}, 401: {502, 502}, 302: {502, 502}, 204: {502, 502},
	} {
		u.answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			if upstreamStatus == 503 {
				w.Header().Set("Retry-After", "7")
			}
			if upstreamStatus == http.StatusNoContent {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			writeProblem(w, upstreamStatus, "because", httpx.FieldError{Field: "limit", Detail: "too large"})
		})
		for i, path := range []string{"/getAllUserBuys/u-1", "/api/v1/buys/" + id} {
			got := request(t, http.MethodGet, shop+path, "")
			if got.status != want[i] {
				t.Errorf("%d became %d, want %d: %s", upstreamStatus, got.status, want[i], got.body)
				continue
			}
			if got.status == 200 {
				continue
			}
			p := got.problem(t)
			if p.Instance != path {
				t.Errorf("instance = %q", p.Instance)
			}
			passedOn := got.status != 502
			if passedOn != (p.Detail == "because" && len(p.Errors) == 1 && p.Errors[0].Field == "limit") {
				t.Errorf("%d: problem = %+v", upstreamStatus, p)
			}
			if got.status == 503 && got.header.Get("Retry-After") != "7" {
				t.Errorf("Retry-After = %q", got.header.Get("Retry-After"))
			}
		}
	}
}

func TestBuyState(t *testing.T) {
	shop, u := withUpstream(t)
	const id = "019b7b5c-5b1e-7a3c-8f00-0123456789ab"
	got := request(t, http.MethodGet, shop+"/api/v1/buys/"+strings.ToUpper(id), "")
	// The id contains the time when it was accepted; one that is derived from a key doesn't.
	if want := `{"eventId":"` + id + `","state":"accepted","way":[{"at":"2026-01-01T21:00:08.862Z","step":"accepted"}]}`; got.status != 200 || string(got.body) != want {
		t.Errorf("not stored yet = %d %s, want %s", got.status, got.body, want)
	}
	keyed := request(t, http.MethodGet, shop+"/api/v1/buys/"+eventIDFor("u", "key"), "")
	if !strings.HasSuffix(string(keyed.body), `"way":[{"step":"accepted"}]}`) {
		t.Errorf("bought with a key, not stored yet = %s", keyed.body)
	}
	const last = "ffffffff-ffff-7fff-bfff-ffffffffffff" // of the year 10889, which JSON's times don't have
	if got := request(t, http.MethodGet, shop+"/api/v1/buys/"+last, ""); string(got.body) != `{"eventId":"`+last+`","state":"accepted","way":[{"step":"accepted"}]}` {
		t.Errorf("an id of the year 10889 = %d %s", got.status, got.body)
	}
	request(t, http.MethodGet, shop+"/api/v1/buys/"+strings.ToUpper(id), "")
	if want := "/api/v1/purchases/by-event/" + id; u.lastAsked() != want {
		t.Errorf("asked %q, want %q", u.lastAsked(), want)
	}
	for _, body := range []string{
		`{"eventId":"` + id + `","state":"stored","purchase":{"userid":"u-1","username":"Ann","price":1.5,"timestamp":1.5}}`,
		`{"eventId":"` + id + `","state":"dead-lettered","reason":"invalid","error":"price must be greater than 0"}`,
	} {
		u.answer(answerJSON(body))
		if got := request(t, http.MethodGet, shop+"/api/v1/buys/"+id, ""); got.status != 200 || string(got.body) != body {
			t.Errorf("state = %d %s, want %s", got.status, got.body, body)
		}
	}
	for _, bad := range []string{"1", "019b7b5c5b1e7a3c8f000123456789ab", "{" + id + "}", "urn:uuid:" + id, id + "%2F..", "x19b7b5c-5b1e-7a3c-8f00-0123456789ab"} {
		got := request(t, http.MethodGet, shop+"/api/v1/buys/"+bad, "")
		if got.status != 400 || got.problem(t).Errors[0].Field != "eventId" {
			t.Errorf("%q = %d %s", bad, got.status, got.body)
		}
	}
}

func TestUnusableAnswers(t *testing.T) {
	shop, u := withUpstream(t)
	for name, handler := range map[string]http.HandlerFunc{
		"not JSON":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>sign in</html>") },
		"too large": answerJSON(`["` + strings.Repeat("x", maxAnswer) + `"]`),
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `[]`)
		},
	} {
		u.answer(handler)
		if got := request(t, http.MethodGet, shop+"/getAllUserBuys/u-1", ""); got.status != http.StatusBadGateway {
			t.Errorf("%s: %d %.100s", name, got.status, got.body)
		} else {
			got.problem(t)
		}
	}
}

func TestManagementUnreachable(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "purchases", 1, nil)
	s := start(t, k.BootstrapServers, topic, fmt.Sprintf("http://127.0.0.1:%d", freeport.Get(t))).ready(t)
	for _, path := range []string{"/getAllUserBuys/u-1", "/api/v1/buys/019b7b5c-5b1e-7a3c-8f00-0123456789ab"} {
		got := request(t, http.MethodGet, s.url+path, "")
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			t.Errorf("GET %s = %d %s", path, got.status, got.body)
		}
		got.problem(t)
	}
	if got := s.buy(t, purchaseOf("u-1", 1)); got.status != http.StatusAccepted {
		t.Errorf("buy = %d %s", got.status, got.body)
	}
	got := request(t, http.MethodGet, s.url+"/-/ready", "")
	if body := got.json(t); got.status != 200 || body["kafka"] != "up" || !strings.HasPrefix(body["management-api"].(string), "down") {
		t.Errorf("ready = %d %s", got.status, got.body)
	}
}

func TestManagementTooSlow(t *testing.T) {
	t.Parallel()
	shop, u := withUpstream(t)
	release := make(chan struct{})
	defer close(release)
	for name, handler := range map[string]http.HandlerFunc{
		"no answer": func(http.ResponseWriter, *http.Request) { <-release },
		"no end": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `[`)
			w.(http.Flusher).Flush()
			<-release
		},
	} {
		u.answer(handler)
		begin := time.Now()
		got := request(t, http.MethodGet, shop+"/getAllUserBuys/u-1", "")
		if took := time.Since(begin); got.status != http.StatusGatewayTimeout || took > 6*time.Second {
			t.Errorf("%s: %d after %v", name, got.status, took)
		}
		got.problem(t)
	}
}

// One client for all requests: connections are reused.
func TestConnectionsAreKept(t *testing.T) {
	var mu sync.Mutex
	connections := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		connections[r.RemoteAddr] = true
		_, _ = io.WriteString(w, `[]`)
	}))
	t.Cleanup(server.Close)
	shop := serveWith(t, config{Currency: "USD", ManagementAPIURL: server.URL}, fakeKafka{})
	for range 20 {
		request(t, http.MethodGet, shop+"/getAllUserBuys/u-1", "")
	}
	if len(connections) != 1 {
		t.Errorf("%d connections for 20 requests", len(connections))
	}
}

func TestNextQuery(t *testing.T) {
	for link, want := range map[string]string{
		``:                                   "",
		`</p/u?before=a>; rel="next"`:        "before=a",
		`</p/u?before=a>; rel=next`:          "before=a",
		`<http://m:1/p/u?before=a>;rel=next`: "before=a",
		`</p/u?before=a>; rel="prev"`:        "",
		`</p/u>; rel="first", </p/u?before=b&limit=3>; rel="next"; title="x"`: "before=b&limit=3",
		`</p/u?before=a>; rel="nextish"`:                                      "",
		`<%zz?before=a>; rel="next"`:                                          "",
	} {
		if got := nextQuery(http.Header{"Link": {link}}).Encode(); got != want {
			t.Errorf("%s: %q, want %q", link, got, want)
		}
	}
}
