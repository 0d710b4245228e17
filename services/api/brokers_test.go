package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"shopstream/services/internal/testkit/brokertest"
)

func TestBrokers(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "spread", 6, nil)
	metadata, err := k.Admin().Metadata(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	a := s.get(t, "/brokers")
	var got brokerList
	if err := json.Unmarshal(a.body, &got); err != nil || a.status != http.StatusOK || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("/brokers = %d %s (%v)", a.status, a.body, err)
	}
	if len(got.Brokers) != len(metadata.Brokers) || got.ClusterID != metadata.Cluster || got.Controller == nil {
		t.Fatalf("/brokers = %s", a.body)
	}
	for i, want := range metadata.Brokers {
		b := got.Brokers[i]
		if !b.Up || b.ID != want.NodeID || b.Host != want.Host || b.Port != want.Port || (b.Rack == nil) != (want.Rack == nil) || b.Controller != (b.ID == *got.Controller) || b.Version == "" {
			t.Errorf("broker %d = %+v, want %+v", i, b, want)
		}
		leads := 0
		for _, p := range metadata.Topics[topic].Partitions {
			if p.Leader == b.ID {
				leads++
			}
		}
		if b.Leaders < leads || b.Replicas < b.Leaders || b.OutOfSync != 0 {
			t.Errorf("broker %d leads %d of the topic's partitions: %+v", b.ID, leads, b)
		}
	}
}

func TestTopicConfig(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "configured", 1, map[string]string{"retention.ms": "12345", "cleanup.policy": "compact"})
	a := s.get(t, "/topics/"+topic+"/config")
	var got []setting
	if err := json.Unmarshal(a.body, &got); err != nil || a.status != http.StatusOK {
		t.Fatalf("config = %d %s (%v)", a.status, a.body, err)
	}
	find := func(name string) setting {
		t.Helper()
		i := slices.IndexFunc(got, func(s setting) bool { return s.Name == name })
		if i < 0 {
			t.Fatalf("no %s in %s", name, a.body)
		}
		return got[i]
	}
	for name, value := range map[string]string{"retention.ms": "12345", "cleanup.policy": "compact"} {
		own := find(name)
		if *own.Value != value || own.Source != "DYNAMIC_TOPIC_CONFIG" || own.IsDefault {
			t.Errorf("%s = %+v", name, own)
		}
	}
	if broker := find("cleanup.policy").Inherited; broker == nil || broker.Value != "delete" || !strings.HasSuffix(broker.Name, "cleanup.policy") {
		t.Errorf("without its own the policy would be %+v", broker)
	}
	if other := find("max.message.bytes"); other.Source == "DYNAMIC_TOPIC_CONFIG" || other.Value == nil || other.Inherited != nil {
		t.Errorf("max.message.bytes = %+v", other)
	}
	if names := slices.IsSortedFunc(got, func(a, b setting) int { return strings.Compare(a.Name, b.Name) }); !names {
		t.Error("the settings are not sorted")
	}

	for path, want := range map[string]int{
		"/topics/" + brokertest.Unique("absent") + "/config": http.StatusNotFound,
		"/topics/__consumer_offsets/config":                  http.StatusForbidden,
		"/topics/a%20b/config":                               http.StatusBadRequest,
		"/topics/" + strings.Repeat("x", 250) + "/config":    http.StatusBadRequest,
		"/topics/" + strconv.Quote(topic) + "/config":        http.StatusBadRequest,
	} {
		if a := s.get(t, path); a.status != want {
			t.Errorf("GET %s = %d, want %d", path, a.status, want)
		} else {
			a.problem(t)
		}
	}
}
