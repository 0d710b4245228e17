package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/testkit/brokertest"
)

// applyExternal runs the program on an external cluster, and returns its log.
func applyExternal(t *testing.T, servers string, topics ...declared) (string, error) {
	t.Helper()
	list, err := json.Marshal(topics)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = run(t.Context(), nil, []string{"KAFKA_BOOTSTRAP_SERVERS=" + servers, "TIMEOUT=20s", "EXTERNAL=true", "TOPICS=" + string(list)}, &out)
	return out.String(), err
}

// refuseChanges makes the embedded brokers refuse every change of topics, as for a user
// that may only read and write; unreadable makes them refuse to show their config too.
func refuseChanges(t *testing.T, k *brokertest.Kafka, unreadable bool) {
	t.Helper()
	if k.Embedded == nil {
		t.Skip("injects refusals into the embedded broker")
	}
	refused, message := kerr.TopicAuthorizationFailed.Code, kmsg.StringPtr("Topic authorization failed.")
	control := k.Embedded.Cluster.ControlKey
	control(int16(kmsg.CreateTopics), func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.Embedded.Cluster.KeepControl()
		response := r.ResponseKind().(*kmsg.CreateTopicsResponse)
		for _, asked := range r.(*kmsg.CreateTopicsRequest).Topics {
			entry := kmsg.NewCreateTopicsResponseTopic()
			entry.Topic, entry.ErrorCode, entry.ErrorMessage = asked.Topic, refused, message
			response.Topics = append(response.Topics, entry)
		}
		return response, nil, true
	})
	control(int16(kmsg.CreatePartitions), func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.Embedded.Cluster.KeepControl()
		response := r.ResponseKind().(*kmsg.CreatePartitionsResponse)
		for _, asked := range r.(*kmsg.CreatePartitionsRequest).Topics {
			entry := kmsg.NewCreatePartitionsResponseTopic()
			entry.Topic, entry.ErrorCode, entry.ErrorMessage = asked.Topic, refused, message
			response.Topics = append(response.Topics, entry)
		}
		return response, nil, true
	})
	control(int16(kmsg.IncrementalAlterConfigs), func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.Embedded.Cluster.KeepControl()
		response := r.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
		for _, asked := range r.(*kmsg.IncrementalAlterConfigsRequest).Resources {
			entry := kmsg.NewIncrementalAlterConfigsResponseResource()
			entry.ResourceType, entry.ResourceName, entry.ErrorCode, entry.ErrorMessage = asked.ResourceType, asked.ResourceName, refused, message
			response.Resources = append(response.Resources, entry)
		}
		return response, nil, true
	})
	if !unreadable {
		return
	}
	control(int16(kmsg.DescribeConfigs), func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.Embedded.Cluster.KeepControl()
		response := r.ResponseKind().(*kmsg.DescribeConfigsResponse)
		for _, asked := range r.(*kmsg.DescribeConfigsRequest).Resources {
			entry := kmsg.NewDescribeConfigsResponseResource()
			entry.ResourceType, entry.ResourceName, entry.ErrorCode, entry.ErrorMessage = asked.ResourceType, asked.ResourceName, refused, message
			response.Resources = append(response.Resources, entry)
		}
		return response, nil, true
	})
}

func TestOnAnExternalClusterTopicsAreCreatedIfTheUserMay(t *testing.T) {
	k := brokertest.Start(t)
	made, grown := brokertest.Unique("made"), brokertest.Unique("grown")
	before := declared{Name: grown, Partitions: 1, Replication: 1, Config: map[string]string{"retention.ms": "1000", "max.message.bytes": "5000"}}
	if _, err := apply(t, k.BootstrapServers, "20s", before); err != nil {
		t.Fatal(err)
	}
	config := map[string]string{"retention.ms": "2000"}
	log, err := applyExternal(t, k.BootstrapServers,
		declared{Name: made, Partitions: 2, Replication: 1, Config: config}, declared{Name: grown, Partitions: 3, Replication: 1, Config: config})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log, `"outcome":"created"`) || !strings.Contains(log, `"outcome":"grown, reconfigured"`) {
		t.Errorf("the log is\n%s", log)
	}
	if got := partitions(t, k, grown); got != 3 {
		t.Errorf("%d partitions", got)
	}
	// An override that isn't declared belongs to the owner.
	if got := overrides(t, k, grown); got["retention.ms"] != "2000" || got["max.message.bytes"] != "5000" {
		t.Errorf("overrides = %v", got)
	}
}

func TestOnAnExternalClusterATopicThatIsEnoughIsLeft(t *testing.T) {
	k := brokertest.Start(t)
	topic := brokertest.Unique("more")
	is := declared{Name: topic, Partitions: 5, Replication: 1, Config: map[string]string{"retention.ms": "5000", "cleanup.policy": "delete"}}
	if _, err := apply(t, k.BootstrapServers, "20s", is); err != nil {
		t.Fatal(err)
	}
	refuseChanges(t, k, false)
	is.Partitions, is.Config = 3, map[string]string{"retention.ms": "4000", "cleanup.policy": "delete"}
	log, err := applyExternal(t, k.BootstrapServers, is)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"level":"WARN"`, "has 5 partitions, declared are 3", "has retention.ms=5000, declared is 4000", "changing its config: "} {
		if !strings.Contains(log, want) {
			t.Errorf("the log doesn't say %q:\n%s", want, log)
		}
	}
	if got := partitions(t, k, topic); got != 5 {
		t.Errorf("%d partitions", got)
	}
}

func TestOnAnExternalClusterWhatIsMissingIsNamed(t *testing.T) {
	k := brokertest.Start(t)
	narrow, short, absent := brokertest.Unique("narrow"), brokertest.Unique("short"), brokertest.Unique("absent")
	deleted := map[string]string{"retention.ms": "1000", "cleanup.policy": "delete"}
	if _, err := apply(t, k.BootstrapServers, "20s",
		declared{Name: narrow, Partitions: 2, Replication: 1, Config: deleted}, declared{Name: short, Partitions: 2, Replication: 1, Config: deleted}); err != nil {
		t.Fatal(err)
	}
	refuseChanges(t, k, false)
	_, err := applyExternal(t, k.BootstrapServers,
		declared{Name: narrow, Partitions: 6, Replication: 1, Config: deleted},
		declared{Name: short, Partitions: 2, Replication: 1, Config: map[string]string{"retention.ms": "9000", "cleanup.policy": "compact"}},
		declared{Name: absent, Partitions: 3, Replication: 1, Config: map[string]string{"cleanup.policy": "delete"}})
	for _, want := range []string{
		narrow + `" has 2 partitions and needs 6`,
		short + `" has cleanup.policy=delete, declared is compact; it has retention.ms=1000, declared is 9000`,
		absent + `" doesn't exist, or this user may not describe it`,
		"make it with 3 partitions, replication factor 1, cleanup.policy=delete, or let this user",
		"authorization failed",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error doesn't say %q:\n%v", want, err)
		}
	}
}

func TestOnAnExternalClusterAConfigThatMayNotBeReadIsNotJudged(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "closed", 2, nil)
	now, err := k.Admin().ListTopics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	refuseChanges(t, k, true)
	log, err := applyExternal(t, k.BootstrapServers,
		declared{Name: topic, Partitions: 2, Replication: now[topic].Partitions.NumReplicas(), Config: map[string]string{"retention.ms": "9"}})
	if err != nil || !strings.Contains(log, "may not read its config (DescribeConfigs)") {
		t.Errorf("err = %v, the log is\n%s", err, log)
	}
}
