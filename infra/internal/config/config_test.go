package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestSettingsOverrideTheProfile(t *testing.T) {
	c, secrets, err := Load(map[string]string{
		"profile":  "small",
		"logLevel": "debug",
		"kafka":    `{"heap": "512Mi", "storageClass": "fast"}`,
		"topics":   `{"orders": {"retention": "36h"}}`,
		"services": `{"producer": {"env": {"RATE": "100"}}}`,
		"apiToken": "secret",
	})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{
		c.LogLevel, c.Kafka.Heap.String(), c.Kafka.StorageClass, c.Kafka.Storage.String(),
		c.Topics.Orders.Retention.String(), c.Topics.Orders.Name, c.Services.Producer.Env["RATE"], secrets.APIToken,
	}
	want := []string{"debug", "512Mi", "fast", "2Gi", "36h", "orders", "100", "secret"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if c.Kafka.Brokers != 1 {
		t.Errorf("%d brokers, want the small profile's 1", c.Kafka.Brokers)
	}
}

func TestAllFaultsAreListedAtOnce(t *testing.T) {
	_, _, err := Load(map[string]string{
		"kafka": `{"broker": 1, "heap": "x"}`, "mongo": `[]`, "nonsense": "",
	})
	for _, want := range []string{"kafka.broker", "kafka.heap", "mongo", "nonsense"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the faults do not name %s: %v", want, err)
		}
	}
}

func TestAKeyWithoutAValueKeepsItsDefault(t *testing.T) {
	c, _, err := Load(map[string]string{
		"cluster": `{"nodeCpu": null, "apiServerPorts": null}`, "kafka": `{"brokers": null, "heap": null, "finalizeAfter": null}`, "mongo": "null",
	})
	want, _ := Defaults(Default)
	if err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestAFaultInAListLeavesItsDefault(t *testing.T) {
	c, _, err := Load(map[string]string{"cluster": `{"apiServerPorts": [1, "x"]}`})
	if err == nil || !slices.Equal(c.Cluster.APIServerPorts, []int{443, 6443, 8443}) {
		t.Errorf("got %v, %v", c.Cluster.APIServerPorts, err)
	}
}

func TestSettingsFromPulumi(t *testing.T) {
	got, err := FromPulumi(`{"shopstream:kafka": "{}", "shopstream:profile": "small", "kubernetes:context": "x"}`)
	if want := map[string]string{"kafka": "{}", "profile": "small"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := FromPulumi("kafka"); err == nil {
		t.Error("settings that can't be read pass as none")
	}
}
