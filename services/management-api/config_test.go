package main

import (
	"strings"
	"testing"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/testkit/envconftest"
)

func TestEnvironmentIsDocumented(t *testing.T) { envconftest.Golden[config](t) }

func TestConfigFaultsAreListedAllAtOnce(t *testing.T) {
	tests := map[string]struct {
		environ []string
		want    []string
	}{
		"nothing given":      {nil, []string{"KAFKA_BOOTSTRAP_SERVERS is required", "MONGO_URI is required"}},
		"nothing but faults": {[]string{"BATCH_SIZE=many", "BATCH_LINGER=5", "HTTP_ADDR=8080", "LOG_LEVEL=loud"}, []string{"BATCH_SIZE", "BATCH_LINGER", "HTTP_ADDR", "LOG_LEVEL", "KAFKA_BOOTSTRAP_SERVERS", "MONGO_URI"}},
		"values that don't go together": {
			[]string{"KAFKA_BOOTSTRAP_SERVERS=kafka", "MONGO_URI=http://user:pa55@db", "BATCH_SIZE=0", "BATCH_LINGER=1m", "PURCHASES_TOPIC=a/b", "PURCHASES_DLQ_TOPIC=a/b", "MONGO_COLLECTION=dead_letters"},
			[]string{"KAFKA_BOOTSTRAP_SERVERS", "MONGO_URI", "BATCH_SIZE", "BATCH_LINGER", "PURCHASES_TOPIC", "PURCHASES_DLQ_TOPIC must differ", "MONGO_COLLECTION"},
		},
		"set but empty": {[]string{"KAFKA_BOOTSTRAP_SERVERS=k:9092", "MONGO_URI=mongodb://db", "GROUP_ID="}, []string{"GROUP_ID is set but empty"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := run(t.Context(), tt.environ, t.Output())
			if err == nil {
				t.Fatal("it started")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not tell %q:\n%v", want, err)
				}
			}
			if strings.Contains(err.Error(), "pa55") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	cfg, err := envconf.Load[config]([]string{"KAFKA_BOOTSTRAP_SERVERS=k:9092", "MONGO_URI=mongodb://db"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Topics.Purchases != "purchases" || cfg.Topics.DeadLetters != "purchases.dlq" || cfg.GroupID != "management-api-group" ||
		cfg.Mongo.Database != "shopping" || cfg.Mongo.Collection != "purchases" || cfg.BatchSize != 1000 {
		t.Errorf("config = %+v", cfg)
	}
}

func TestUnknownCommand(t *testing.T) {
	if err := command(t.Context(), []string{"replay"}); err == nil || !strings.Contains(err.Error(), "replay-dlq") {
		t.Errorf("err = %v", err)
	}
}
