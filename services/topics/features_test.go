package main

import (
	"fmt"
	"testing"
)

func TestFeaturesAreRaisedToWhatEveryBrokerSupports(t *testing.T) {
	older := map[string]int16{"metadata.version": 27, "group.version": 1, "kraft.version": 1}
	newer := map[string]int16{"metadata.version": 29, "group.version": 1, "share.version": 1, "kraft.version": 1, "added.version": 1}
	tests := []struct {
		name      string
		brokers   []map[string]int16
		finalized map[string]int16
		want      string
	}{
		{"an upgraded cluster", []map[string]int16{newer, newer}, map[string]int16{"metadata.version": 27, "group.version": 1},
			"[{metadata.version 27 29} {added.version 0 1} {share.version 0 1}]"},
		{"one broker is still to be upgraded", []map[string]int16{newer, older}, map[string]int16{"metadata.version": 27, "group.version": 1}, "[]"},
		{"nothing is left", []map[string]int16{newer}, newer, "[]"},
		{"kraft.version is left alone", []map[string]int16{{"kraft.version": 1}}, map[string]int16{}, "[]"},
		{"no broker answers", nil, nil, "[]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := fmt.Sprint(outstanding(test.brokers, test.finalized)); got != test.want {
				t.Errorf("to raise: %s, want %s", got, test.want)
			}
		})
	}
}
