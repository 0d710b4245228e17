package main

import (
	"net/url"
	"strings"
	"testing"

	"shopstream/services/internal/testkit/pagetest"
)

// What the page says comes from topics, groups, metrics and errors of others.
func TestSystemPageEscapesWhatItShows(t *testing.T) {
	pagetest.Escapes(t, func(v string) string {
		fact := partFacts{State: v, Says: v, Size: v}
		linked := partFacts{State: v, Says: v, Short: v, Size: v, Link: "/viewer#topic=" + url.QueryEscape(v)}
		view := systemView{
			At: v,
			Picture: picture{
				Parts: []part{{Name: v, Kind: v}, {Name: v, Kind: kindTopic}},
				Flows: []flow{{From: v, To: v}},
			},
			Facts: facts{
				Summary: v, State: v, Unseen: []string{v, v}, Basis: v,
				Parts: []partFacts{fact, linked}, Flows: []flowFacts{{Rate: v, Note: v, Detail: v}},
			},
			Drawings: []drawing{{
				Name: v, Outlines: []string{v, v},
				layout: layout{Boxes: make([]box, 2), Wires: []wire{{Path: v}}},
			}},
		}
		var body strings.Builder
		if err := view.page().Render(t.Context(), &body); err != nil {
			t.Fatal(err)
		}
		return body.String()
	})
}
