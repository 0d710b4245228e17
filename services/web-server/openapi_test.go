package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/testkit/freeport"
)

// pathItem is the operations of one path.
type pathItem struct {
	Get  *operation
	Post *operation
}

type operation struct{ Responses map[string]any }

// readSpec returns the described statuses by method and path.
func readSpec(t *testing.T) map[string][]string {
	t.Helper()
	var spec struct{ Paths map[string]pathItem }
	if err := yaml.Unmarshal(openAPI, &spec); err != nil {
		t.Fatal(err)
	}
	described := map[string][]string{}
	for path, item := range spec.Paths {
		for method, o := range map[string]*operation{"GET": item.Get, "POST": item.Post} {
			if o != nil {
				described[method+" "+path] = slices.Sorted(maps.Keys(o.Responses))
			}
		}
	}
	return described
}

var parameter = regexp.MustCompile(`:(\w+)`)

func TestSpecHasEveryRoute(t *testing.T) {
	described := slices.Sorted(maps.Keys(readSpec(t)))
	var routes []string
	for _, r := range newTestEngine(t, config{Currency: "USD", ManagementAPIURL: "http://127.0.0.1:1"}, fakeKafka{}).Routes() {
		if r.Path == "/" || strings.HasPrefix(r.Path, "/shop/") {
			continue // the page is not part of the API
		}
		routes = append(routes, r.Method+" "+parameter.ReplaceAllString(r.Path, "{$1}"))
	}
	slices.Sort(routes)
	if !slices.Equal(described, routes) {
		t.Errorf("described %q\nserved    %q", described, routes)
	}
}

// sendFunc is a Kafka that does what the test wants.
type sendFunc func(context.Context, kafkax.Record) (kafkax.Placed, error)

func (f sendFunc) Send(ctx context.Context, r kafkax.Record) (kafkax.Placed, error) {
	return f(ctx, r)
}

// Every described status of the API's own routes is provoked here, and no other one is
// returned. (408 is in TestABodyThatNeverEndsIsGivenUp, 504 after our own time limit in
// TestManagementTooSlow.)
func TestSpecHasEveryStatus(t *testing.T) {
	u := newUpstream(t)
	var kafkaSays error
	url := serveWith(t, config{Currency: "USD", ManagementAPIURL: u.URL},
		sendFunc(func(context.Context, kafkax.Record) (kafkax.Placed, error) { return kafkax.Placed{}, kafkaSays }))
	away := serveWith(t, config{Currency: "USD", ManagementAPIURL: fmt.Sprintf("http://127.0.0.1:%d", freeport.Get(t))}, fakeKafka{})

	const id = "019b7b5c-5b1e-7a3c-8f00-0123456789ab"
	got := map[string]map[string]bool{}
	see := func(operation string, r reply) {
		if got[operation] == nil {
			got[operation] = map[string]bool{}
		}
		got[operation][fmt.Sprint(r.status)] = true
	}
	for _, path := range []string{"/api/v1/buy", "/buy"} {
		operation := "POST " + path
		got[operation] = map[string]bool{"408": true}
		for _, kafkaSays = range []error{nil, kafkax.ErrUnavailable, errors.New("invalid record")} {
			for _, body := range []string{purchaseOf("u", 1), "", strings.Repeat("x", maxBody+1)} {
				see(operation, request(t, http.MethodPost, url+path, body))
			}
		}
		see(operation, request(t, http.MethodPost, url+path, "x", "Content-Encoding", "gzip"))
	}
	for operation, path := range map[string]string{
		"GET /api/v1/getAllUserBuys/{userid}": "/api/v1/getAllUserBuys/u",
		"GET /getAllUserBuys/{userid}":        "/getAllUserBuys/u",
		"GET /api/v1/buys/{eventId}":          "/api/v1/buys/" + id,
	} {
		for _, status := range []int{200, 400, 404, 418, 500, 502, 503, 504} {
			u.answer(func(w http.ResponseWriter, r *http.Request) {
				if status == 200 {
					answerJSON(`[]`)(w, r)
					return
				}
				writeProblem(w, status, "so")
			})
			see(operation, request(t, http.MethodGet, url+path, ""))
		}
		see(operation, request(t, http.MethodGet, away+path, ""))
	}
	see("GET /api/v1/buys/{eventId}", request(t, http.MethodGet, url+"/api/v1/buys/1", ""))

	spec := readSpec(t)
	for operation, statuses := range got {
		if seen := slices.Sorted(maps.Keys(statuses)); !slices.Equal(spec[operation], seen) {
			t.Errorf("%s: described %v, seen %v", operation, spec[operation], seen)
		}
	}
	if len(got) != 5 {
		t.Errorf("%d operations tried", len(got))
	}
}

func TestSpecIsServed(t *testing.T) {
	url := serveWith(t, config{Currency: "USD", ManagementAPIURL: "http://127.0.0.1:1"}, fakeKafka{})
	if got := request(t, http.MethodGet, url+"/openapi.yaml", ""); got.status != 200 || string(got.body) != string(openAPI) {
		t.Errorf("GET /openapi.yaml = %d, %d bytes", got.status, len(got.body))
	}
	// The lowest price is half a minor unit, which is rounded up to one.
	for currency, least := range map[string]string{"USD": "0.005", "JPY": "0.5", "KWD": "0.0005"} {
		url := serveWith(t, config{Currency: currency, ManagementAPIURL: "http://127.0.0.1:1"}, fakeKafka{})
		if got := request(t, http.MethodGet, url+"/openapi.yaml", ""); !strings.Contains(string(got.body), "minimum: "+least+"\n") {
			t.Errorf("%s: the least price is not described as %s", currency, least)
		}
		for price, status := range map[string]int{least: 202, strings.Replace(least, "5", "49", 1): 400} {
			if got := request(t, http.MethodPost, url+"/buy", `{"username":"a","userid":"b","price":`+price+`}`); got.status != status {
				t.Errorf("%s %s = %d", price, currency, got.status)
			}
		}
	}
}
