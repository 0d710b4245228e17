package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// loadUp is a machine with a running platform that stores purchases, with that many pods of management-api.
func loadUp(t *testing.T, pods int) *machine {
	t.Helper()
	type purchase struct {
		EventID string  `json:"eventId"`
		Price   float64 `json:"price"`
	}
	var mu sync.Mutex
	stored := map[string][]purchase{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch buyer, ok := strings.CutPrefix(r.URL.Path, "/api/v1/getAllUserBuys/"); {
		case r.Method == http.MethodPost:
			var request struct {
				UserID string
				Price  float64
			}
			_ = json.NewDecoder(r.Body).Decode(&request)
			id := fmt.Sprint("e-", request.Price)
			stored[request.UserID] = append(stored[request.UserID], purchase{id, request.Price})
			w.WriteHeader(http.StatusAccepted)
			fmt.Fprintf(w, `{"data":{"eventId":%q}}`, id)
		case ok:
			_ = json.NewEncoder(w).Encode(append([]purchase{}, stored[buyer]...))
		case r.URL.Path == "/groups":
			fmt.Fprint(w, `[{"group":"management-api-group","lag":0}]`)
		default:
			fmt.Fprint(w, `{"state":"stored"}`)
		}
	}))
	t.Cleanup(server.Close)
	m := newMachine(t)
	m.set("forward-to", strings.TrimPrefix(server.URL, "http://"))
	m.set("controller", "ingress-nginx-controller NodePort <none> <none> 30080\n")
	m.set("deployments", fmt.Sprintf("management-api %d %d\nweb-server 1 1\nconsumer 1 <none>\n", pods, pods))
	return m
}

func TestLoadOnAStack(t *testing.T) {
	m := loadUp(t, 1)
	test := func() outcome { return m.platform("load", "PHASES=steady=20x2s,quiet=0x1s") }
	o := test()
	for strings.Contains(o.printed, "the sender fell behind") && t.Context().Err() == nil {
		o = test() // this machine is busy
	}
	o.succeeds().says(
		"pods that are enough: web-server 1, management-api 1", "pods web-server 1/1, management-api 1/1", "40 acknowledged, 0 refused",
		"management-api: scaled down from 1 to its minimum of 1 pods", "each looked up, 0 are lost", "The plot: "+filepath.Join(m.root, "build", "load.html"))
}

func TestLoadRefuses(t *testing.T) {
	m := loadUp(t, 1)
	m.platform("load", "RATE=fast").fails().says("RATE is \"fast\"")
	m.platform("load", "URL=http://localhost:8081").fails().says("without a cluster")
	m.unset("cluster")
	m.platform("load").fails().says("Run make up", "make load URL=http://localhost:8081")
}
