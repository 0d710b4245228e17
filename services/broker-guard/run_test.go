package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"shopstream/services/internal/testkit/brokertest"
	"shopstream/services/internal/testkit/envconftest"
)

func TestEnvironmentIsDocumented(t *testing.T) { envconftest.Golden[config](t) }

func TestBadConfigurationEndsTheStart(t *testing.T) {
	err := run(t.Context(), []string{"NODE_ROLE=both", "HTTP_ADDR=9095", "KAFKA_BOOTSTRAP_SERVERS=kafka", "PEERS=http://kafka:9095", "KAFKA_TLS_CA_FILE=x", "CHECK_INTERVAL=0s"}, io.Discard)
	for _, want := range []string{"NODE_ID", "NODE_ROLE", "HTTP_ADDR", "KAFKA_BOOTSTRAP_SERVERS", "PEERS", "KAFKA_TLS_KEY_FILE", "LISTENER", "CHECK_INTERVAL"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %s: %v", want, err)
		}
	}
}

func TestReadyFollowsTheBrokersMetadata(t *testing.T) {
	k := brokertest.Start(t)
	k.Topic(t, "orders", 3, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	brokers, err := k.Admin().ListBrokers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, err := json.Marshal(brokers[0].NodeID)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	var out bytes.Buffer
	go func() {
		ended <- run(ctx, []string{"NODE_ID=" + string(id), "HTTP_ADDR=" + addr, "KAFKA_BOOTSTRAP_SERVERS=" + k.BootstrapServers, "PEERS=http://127.0.1.{index}:1"}, &out)
	}()
	awaitStatus(t, "http://"+addr+"/ready", http.StatusOK)
	if k.Embedded != nil {
		k.Embedded.Close()
		awaitStatus(t, "http://"+addr+"/ready", http.StatusServiceUnavailable)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func awaitStatus(t *testing.T, url string, want int) {
	t.Helper()
	last := "nothing"
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		response, err := http.Get(url)
		if err != nil {
			last = err.Error()
			continue
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode == want {
			return
		}
		last = response.Status + " " + string(body)
	}
	t.Fatalf("%s: %s, want %d", url, last, want)
}
