package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"
)

// guards asks the pool's other guards over HTTP.
type guards struct {
	id      int32
	address func(id int32) string
	client  *http.Client

	mu  sync.Mutex
	ids []int32 // of the pool's other nodes, as last known
}

func newGuards(id int32, address func(int32) string) *guards {
	return &guards{id: id, address: address, client: &http.Client{Timeout: 2 * time.Second}}
}

// learn records which nodes exist. A known node stays known: one that is down is missing
// from the brokers' metadata.
func (g *guards) learn(ids []int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ids = append(g.ids, ids...)
	slices.Sort(g.ids)
	g.ids = slices.DeleteFunc(slices.Compact(g.ids), func(id int32) bool { return id == g.id })
}

// ask implements peers.
func (g *guards) ask(ctx context.Context) ([]status, []int32) {
	g.mu.Lock()
	all := slices.Clone(g.ids)
	g.mu.Unlock()
	var (
		answers []status
		mu      sync.Mutex
		wait    sync.WaitGroup
	)
	for _, id := range all {
		wait.Go(func() {
			s, err := g.one(ctx, id)
			if err != nil || s.Node != id {
				return // unreachable: the caller counts the answers
			}
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, s)
		})
	}
	wait.Wait()
	return answers, all
}

func (g *guards) one(ctx context.Context, id int32) (status, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.address(id)+"/status", nil)
	if err != nil {
		return status{}, err
	}
	response, err := g.client.Do(request)
	if err != nil {
		return status{}, err
	}
	defer response.Body.Close()
	var s status
	err = json.NewDecoder(http.MaxBytesReader(nil, response.Body, 64<<10)).Decode(&s)
	return s, err
}
