package main

import (
	"testing"
	"time"
)

func TestHistoryComparesOverTenSecondsWhereItCan(t *testing.T) {
	var h history[int]
	start := time.Now()
	for _, step := range []struct {
		at, earlier int // seconds
		ok          bool
	}{
		{at: 0, earlier: 0, ok: false},
		{at: 2, earlier: 0, ok: true},
		{at: 8, earlier: 0, ok: true},
		{at: 12, earlier: 2, ok: true},
		{at: 12, earlier: 2, ok: true}, // the same reading once more
		{at: 13, earlier: 2, ok: true},
		{at: 40, earlier: 13, ok: true},
		{at: 400, earlier: 400, ok: false}, // nobody has looked for minutes
	} {
		got, ok := h.add(sample[int]{start.Add(time.Duration(step.at) * time.Second), step.at})
		if got.value != step.earlier || ok != step.ok {
			t.Fatalf("at %d s: compared with %d, %t, want %d, %t", step.at, got.value, ok, step.earlier, step.ok)
		}
	}
}
