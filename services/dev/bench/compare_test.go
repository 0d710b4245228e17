package main

import (
	"context"
	"slices"
	"testing"
)

// constant makes a goal's rounds from pairs of our figure and the peer's two.
func constant(figures ...[3]float64) []round {
	var rounds []round
	for _, f := range figures {
		rounds = append(rounds, round{ours: sample{Rate: f[0]}, control: [2]sample{{Rate: f[1]}, {Rate: f[2]}}})
	}
	return rounds
}

func TestVerdicts(t *testing.T) {
	for _, test := range []struct {
		name   string
		goal   goal
		rounds []round
		want   string
	}{
		{"fast enough", goal{of: rate, relation: atLeast, limit: .9}, constant([3]float64{95, 100, 100}), "pass"},
		{"too slow", goal{of: rate, relation: atLeast, limit: .9}, constant([3]float64{80, 100, 100}), "short"},
		{"one bad round doesn't count", goal{of: rate, relation: atLeast, limit: .9}, constant([3]float64{95, 100, 100}, [3]float64{95, 100, 100}, [3]float64{10, 100, 100}, [3]float64{95, 100, 100}, [3]float64{95, 100, 100}), "pass"},
		{"above in some rounds, below in others", goal{of: rate, relation: atLeast, limit: .9}, constant([3]float64{80, 100, 100}, [3]float64{100, 100, 100}), "unclear"},
		{"the peer differs from itself", goal{of: rate, relation: atLeast, limit: .9}, constant([3]float64{95, 100, 80}), "void"},
		{"cheap enough", goal{of: rate, relation: atMost, limit: 1.3}, constant([3]float64{125, 100, 100}), "pass"},
		{"too expensive", goal{of: rate, relation: atMost, limit: 1.3}, constant([3]float64{135, 100, 100}), "short"},
		{"a millisecond above", goal{of: rate, relation: atMostAbove, limit: 1}, constant([3]float64{2.9, 2, 2}), "pass"},
		{"more than that", goal{of: rate, relation: atMostAbove, limit: 1}, constant([3]float64{3.1, 2, 2}), "short"},
		{"the peer measured nothing", goal{of: rate, relation: atLeast, limit: .9}, constant([3]float64{95, 0, 0}), "void"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.goal.verdict(test.goal.judge(test.rounds)); got != test.want {
				t.Errorf("verdict = %s, want %s", got, test.want)
			}
		})
	}
}

func TestThePeerRunsBeforeAndAfterOurs(t *testing.T) {
	var order []string
	entrantOf := func(name string) entrant {
		return func(context.Context) (sample, error) {
			order = append(order, name)
			return sample{Rate: float64(len(order))}, nil
		}
	}
	rounds, err := comparison{ours: entrantOf("ours"), peer: entrantOf("peer")}.compare(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"peer", "ours", "peer", "peer", "ours", "peer"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	// The first of the control is the earlier run in one round, the later in the next.
	if a, b := rounds[0].control, rounds[1].control; a[0].Rate > a[1].Rate || b[0].Rate < b[1].Rate {
		t.Errorf("controls %v and %v", a, b)
	}
}

func TestQuantile(t *testing.T) {
	values := []float64{4, 1, 3, 2}
	for q, want := range map[float64]float64{0: 1, .5: 2.5, 1: 4} {
		if got := quantile(values, q); got != want {
			t.Errorf("quantile %v = %v, want %v", q, got, want)
		}
	}
}

func TestAnAbsoluteGoalNeedsNoPeer(t *testing.T) {
	for _, test := range []struct {
		relation relation
		figure   float64
		want     string
	}{
		{noMore, 49, "pass"}, {noMore, 51, "short"}, {noLess, 51, "pass"}, {noLess, 49, "short"},
	} {
		c := comparison{ours: func(context.Context) (sample, error) { return sample{Rate: test.figure}, nil }, rounds: 1}
		rounds, err := c.compare(t.Context(), 3)
		if err != nil {
			t.Fatal(err)
		}
		g := goal{of: rate, relation: test.relation, limit: 50}
		if got := g.verdict(g.judge(rounds)); got != test.want || len(rounds) != 1 {
			t.Errorf("%v with relation %v = %s after %d rounds, want %s after one", test.figure, test.relation, got, len(rounds), test.want)
		}
	}
}
