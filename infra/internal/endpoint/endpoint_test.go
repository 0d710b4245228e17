package endpoint

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestClient(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/none" {
			http.NotFound(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, r.Host, " ", r.Header.Get("Authorization"), " ", r.Header.Get("Content-Type"), " ", string(body))
	}))
	defer server.Close()
	// It must not be used.
	t.Setenv("https_proxy", "http://127.0.0.1:1")
	c := New(Endpoint{URL: "https://shop.example.com/", Address: strings.TrimPrefix(server.URL, "https://"), Token: "secret"}, time.Minute, 1)
	r, err := c.Do(t.Context(), http.MethodPost, "/buy", "{}")
	if got, want := string(r.Body), "shop.example.com Bearer secret application/json {}"; err != nil || r.Status != 200 || got != want {
		t.Errorf("got %d %q, want %q (%v)", r.Status, got, want, err)
	}
	if r, err := c.Get(t.Context(), "/health"); err != nil || !strings.HasPrefix(string(r.Body), "shop.example.com") {
		t.Errorf("got %q (%v)", r.Body, err)
	}
	if _, err := c.Get(t.Context(), "/none"); err == nil || !strings.Contains(err.Error(), "/none: 404 404 page not found") {
		t.Errorf("err = %v", err)
	}
}
