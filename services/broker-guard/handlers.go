package main

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func (g *guard) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, g.turn.status()) })
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, g.turn.status()) })
	mux.HandleFunc("GET /ready", g.ready)
	mux.HandleFunc("GET /stop", g.stop)
	mux.Handle("GET /metrics", promhttp.HandlerFor(g.metrics, promhttp.HandlerOpts{}))
	return mux
}

// ready answers 200 once the node has caught up, and 503 with the reason before.
func (g *guard) ready(w http.ResponseWriter, r *http.Request) {
	err := g.check(r.Context())
	if r.Context().Err() != nil {
		return // the caller has disconnected
	}
	g.turn.observe(err)
	if err != nil {
		reply(w, http.StatusServiceUnavailable, map[string]string{"reason": err.Error()})
		return
	}
	reply(w, http.StatusOK, g.turn.status())
}

// stop answers once the node may stop. The kubelet calls it before it stops the node's
// container.
func (g *guard) stop(w http.ResponseWriter, r *http.Request) {
	if err := g.turn.await(r.Context()); err != nil {
		reply(w, http.StatusServiceUnavailable, map[string]string{"reason": err.Error()})
		return
	}
	reply(w, http.StatusOK, g.turn.status())
}

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // fails only if the caller has disconnected
}
