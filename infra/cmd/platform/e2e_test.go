package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// platformUp is a machine whose platform is running; stored is the event that is found there.
func platformUp(t *testing.T, stored string) *machine {
	t.Helper()
	// A company's proxy, which must not be used for anything on this machine.
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	m := newMachine(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{"status":"success","data":{"eventId":"e-1"}}`)
			return
		}
		_, _ = io.WriteString(w, `[{"value":"`+stored+`"}]`)
	}))
	t.Cleanup(server.Close)
	m.set("forward-to", strings.TrimPrefix(server.URL, "http://"))
	m.set("controller", "ingress-nginx-controller NodePort <none> <none> 30080\n")
	m.set("scaledobjects", "consumer True\n")
	const kafka, mongo, store = "kafka.shop-data:9092", "mongodb-0.mongodb-nodes.shop-data:27017", "management-api.shop:8080"
	m.set("known", kafka+"=open\n"+mongo+"=refused\n"+store+"=refused\n")
	m.set("stranger", kafka+"=refused\n"+mongo+"=refused\n"+store+"=refused\n")
	return m
}

func TestSmokeTestOfAPlatformThatWorks(t *testing.T) {
	m := platformUp(t, "e-1")
	o := m.platform("e2e").succeeds().says(
		"Through the ingress", "its event id is e-1", "it is stored", "/messages shows it", "Everything works.",
		"a pod with the edge of topics to kafka.shop-data:9092: open", "a pod without an edge to kafka.shop-data:9092: refused")
	o.did("delete pods -A -l shopstream/e2e=e2e-")
	if pods := m.read("applied"); strings.Count(pods, "kind: Pod") != 3 || !strings.Contains(pods, "apache/kafka:4") {
		t.Errorf("the probes are %s", pods)
	}
	m.set("controller", "")
	m.platform("e2e").succeeds().says("Through port-forwards")
}

func TestSmokeTestNamesAnOpenConnection(t *testing.T) {
	m := platformUp(t, "e-1")
	m.set("stranger", "kafka.shop-data:9092=open\n")
	m.platform("e2e").fails().says("FAILED a pod without an edge to kafka.shop-data:9092: refused", "kafka.shop-data:9092=open", "checks failed")
}
