package cluster

import (
	"strings"
	"testing"
)

const manifest = `
kind: StatefulSet
metadata: {name: kafka}
spec:
  replicas: 3
  template:
    spec:
      containers:
      - name: kafka
        env:
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: POD_INDEX, valueFrom: {fieldRef: {fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']"}}}
        - {name: KAFKA_NODE_ID, value: "1$(POD_INDEX)"}
        - {name: KAFKA_LISTENERS, value: "CLIENT://:9092,INTERNAL://0.0.0.0:9094"}
        - {name: KAFKA_ADVERTISED_LISTENERS, value: "CLIENT://$(POD_NAME).kafka-nodes.shop.svc.cluster.local:9092,INTERNAL://$(POD_NAME).kafka-nodes.shop.svc.cluster.local:9094"}
        - {name: KAFKA_CONTROLLER_QUORUM_VOTERS, value: "10@kafka-0.kafka-nodes.shop.svc.cluster.local:9093,11@kafka-1.kafka-nodes.shop.svc.cluster.local:9093"}
        - {name: KAFKA_LOG_DIRS, value: /var/lib/kafka/data/kraft}
        - {name: KAFKA_MIN_INSYNC_REPLICAS, value: "2"}
`

func TestANodesEnvironmentMovesToLoopback(t *testing.T) {
	m, err := ParseManifest([]byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	env, err := m.environment(2, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	listen := func(node, port int) string {
		return "127.0.0.1:" + string(rune('0'+node)) + "00" + string(rune('0'+port%10))
	}
	advertise := func(node, port int) string { return strings.Replace(listen(node, port), "127.0.0.1", "127.0.0.9", 1) }
	got := onLoopback(env, 2, "/tmp/data", listen, listen, advertise)
	want := map[string]string{
		"POD_NAME":                       "kafka-2",
		"KAFKA_NODE_ID":                  "12",
		"KAFKA_LISTENERS":                "CLIENT://127.0.0.1:2002,INTERNAL://127.0.0.1:2004",
		"KAFKA_ADVERTISED_LISTENERS":     "CLIENT://127.0.0.9:2002,INTERNAL://127.0.0.9:2004",
		"KAFKA_CONTROLLER_QUORUM_VOTERS": "10@127.0.0.1:0003,11@127.0.0.1:1003",
		"KAFKA_LOG_DIRS":                 "/tmp/data",
		"KAFKA_MIN_INSYNC_REPLICAS":      "2",
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s = %q, want %q", key, got[key], value)
		}
	}
}

func TestWhatOnlyAClusterHasIsRefused(t *testing.T) {
	m, err := ParseManifest([]byte(strings.Replace(manifest, "metadata.name", "status.podIP", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.environment(0, nil, ""); err == nil || !strings.Contains(err.Error(), "status.podIP") {
		t.Errorf("err = %v", err)
	}
	if _, err := ParseManifest([]byte("kind: Deployment")); err == nil {
		t.Error("a Deployment was taken for the brokers")
	}
}
