package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"shopstream/services/internal/httpx"
)

func TestFederationLabelsTheMetricsOfAllServices(t *testing.T) {
	one := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "# TYPE sold_total counter\nsold_total{code=\"200\"} 3\n")
	}))
	defer one.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	at := func(s *httptest.Server) httpx.Addr { return httpx.Addr(strings.TrimPrefix(s.URL, "http://")) }

	answer := httptest.NewRecorder()
	newFederation([]service{{name: "shop", addr: at(one)}, {name: "keeper", addr: at(gone)}}).
		ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/federate", nil))
	for _, want := range []string{
		`sold_total{code="200",service="shop",pod="shop"} 3`,
		`up{service="shop",pod="shop"} 1`,
		`up{service="keeper",pod="keeper"} 0`,
	} {
		if !strings.Contains(answer.Body.String(), want+"\n") {
			t.Errorf("%s is missing in\n%s", want, answer.Body)
		}
	}
}
