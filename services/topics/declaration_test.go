package main

import (
	"strings"
	"testing"
)

func TestDeclarationFaultsAreAllNamed(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"not JSON":       {`orders:6:1`, []string{"not a JSON list"}},
		"an object":      {`{"name":"orders"}`, []string{"not a JSON list"}},
		"cut off":        {`[{"name":"orders"`, []string{"not a JSON list"}},
		"two lists":      {`[] []`, []string{"not a JSON list"}},
		"empty":          {`[]`, []string{"declares no topic"}},
		"null":           {`null`, []string{"declares no topic"}},
		"a number":       {`[7]`, []string{"entry 1: must be a JSON object, not 7"}},
		"nothing given":  {`[{}]`, []string{"entry 1: name is required", "entry 1: partitions is required", "entry 1: replicationFactor is required"}},
		"unknown fields": {`[{"name":"a","Partitions":1,"partitions":1,"replicationFactor":1,"replicas":3}]`, []string{`topic "a": unknown field "Partitions"`, `unknown field "replicas"`}},
		"field twice":    {`[{"name":"a","partitions":1,"partitions":9,"replicationFactor":1}]`, []string{`topic "a": partitions is given twice`}},
		"bad names": {`[{"name":"a b","partitions":1,"replicationFactor":1},{"name":"..","partitions":1,"replicationFactor":1},{"name":7,"partitions":1,"replicationFactor":1}]`,
			[]string{`name "a b" must have`, `name ".." must have`, "entry 3: name must be a string"}},
		"bad counts": {`[{"name":"a","partitions":0,"replicationFactor":-1},{"name":"b","partitions":1.5,"replicationFactor":"3"}]`,
			[]string{`topic "a": partitions must be`, `topic "a": replicationFactor must be`, `topic "b": partitions must be`, `topic "b": replicationFactor must be`}},
		"duplicates": {`[{"name":"a.b","partitions":1,"replicationFactor":1},{"name":"a.b","partitions":2,"replicationFactor":1},{"name":"a_b","partitions":1,"replicationFactor":1}]`,
			[]string{`topic "a.b": is declared twice`, `topic "a_b": collides with "a.b"`}},
		"bad config": {`[{"name":"a","partitions":1,"replicationFactor":1,"config":{"retention.ms":7,"x":"1","x":"2","y":null}}]`,
			[]string{`config "retention.ms" must be a string in quotes, not 7`, `config "x" is given twice`, `config "y" must be a string`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parseTopics(tt.text)
			if err == nil {
				t.Fatal("no fault found")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestValuesThatKafkaSpellsDifferentlyAreTheSame(t *testing.T) {
	same := [][2]string{{"604800000", " 604800000"}, {"0.5", "0.50"}, {"compact,delete", "compact, delete"}, {"true", "TRUE"}, {"", ""}}
	different := [][2]string{{"1", "2"}, {"9223372036854775807", "9223372036854775806"}, {"compact", "compact,delete"}, {"1", "one"}, {"0.5", "x"}, {"", "1"}}
	for _, pair := range same {
		if !sameValue(pair[0], pair[1]) {
			t.Errorf("%q and %q differ", pair[0], pair[1])
		}
	}
	for _, pair := range different {
		if sameValue(pair[0], pair[1]) {
			t.Errorf("%q and %q are the same", pair[0], pair[1])
		}
	}
}

func TestAPartitionWithoutALeaderIsNotThereYet(t *testing.T) {
	p := planFor(topic{name: "a", partitions: 2, replication: 1}, &actual{partitions: 2, replication: []int{1}, leaderless: []int32{1}}, 1)
	if p.done() || !strings.Contains(p.waiting, "[1]") {
		t.Errorf("plan = %+v", p)
	}
}

func TestOverridesOfAReassignmentUnderWayStay(t *testing.T) {
	now := &actual{partitions: 1, replication: []int{3}, overrides: map[string]string{"leader.replication.throttled.replicas": "0:1"}}
	if p := planFor(topic{name: "a", partitions: 1, replication: 3}, now, 3); !p.done() {
		t.Errorf("plan = %+v", p)
	}
}
