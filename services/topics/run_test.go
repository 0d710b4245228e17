package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/testkit/broker"
	"shopstream/services/internal/testkit/brokertest"
	"shopstream/services/internal/testkit/freeport"
)

// declared is one entry of a TOPICS list; every test has its own names.
type declared struct {
	Name        string            `json:"name"`
	Partitions  int               `json:"partitions"`
	Replication int               `json:"replicationFactor"`
	Config      map[string]string `json:"config,omitempty"`
}

// apply runs the program and returns each topic's outcome by name.
func apply(t *testing.T, servers, timeout string, topics ...declared) (map[string]string, error) {
	t.Helper()
	list, err := json.Marshal(topics)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = run(t.Context(), nil, []string{"KAFKA_BOOTSTRAP_SERVERS=" + servers, "TIMEOUT=" + timeout, "TOPICS=" + string(list)}, &out)
	outcomes := map[string]string{}
	for line := range strings.Lines(out.String()) {
		var entry struct{ Msg, Topic, Outcome string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "topic" {
			outcomes[entry.Topic] = entry.Outcome
		}
	}
	return outcomes, err
}

// overrides returns the config set on a topic itself, read through another client.
func overrides(t *testing.T, k *brokertest.Kafka, topic string) map[string]string {
	t.Helper()
	configs, err := k.Admin().DescribeTopicConfigs(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]string{}
	for _, c := range configs[0].Configs {
		if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
			set[c.Key] = c.MaybeValue()
		}
	}
	return set
}

func partitions(t *testing.T, k *brokertest.Kafka, topic string) int {
	t.Helper()
	details, err := k.Admin().ListTopics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return len(details[topic].Partitions)
}

func TestTopicsFollowTheirDeclaration(t *testing.T) {
	k := brokertest.Start(t)
	a, b := brokertest.Unique("orders"), brokertest.Unique("totals")
	steps := []struct {
		name         string
		declared     []declared
		outcomes     [2]string
		parts        int // of a
		overridesOfB string
	}{
		{"absent topics are created",
			[]declared{{Name: a, Partitions: 2, Replication: 1}, {Name: b, Partitions: 1, Replication: 1, Config: map[string]string{"cleanup.policy": "compact", "retention.ms": "1000"}}},
			[2]string{"created", "created"}, 2, "map[cleanup.policy:compact retention.ms:1000]"},
		{"a second run changes nothing",
			[]declared{{Name: a, Partitions: 2, Replication: 1}, {Name: b, Partitions: 1, Replication: 1, Config: map[string]string{"cleanup.policy": "compact", "retention.ms": "1000"}}},
			[2]string{"unchanged", "unchanged"}, 2, "map[cleanup.policy:compact retention.ms:1000]"},
		{"partitions grow and config changes",
			[]declared{{Name: a, Partitions: 5, Replication: 1}, {Name: b, Partitions: 1, Replication: 1, Config: map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "1000"}}},
			[2]string{"grown", "reconfigured"}, 5, "map[cleanup.policy:compact,delete retention.ms:1000]"},
		{"an override that is no longer declared goes",
			[]declared{{Name: a, Partitions: 5, Replication: 1}, {Name: b, Partitions: 1, Replication: 1, Config: map[string]string{"cleanup.policy": "compact, delete"}}},
			[2]string{"unchanged", "reconfigured"}, 5, "map[cleanup.policy:compact,delete]"},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			outcomes, err := apply(t, k.BootstrapServers, "30s", step.declared...)
			if err != nil {
				t.Fatal(err)
			}
			if got := [2]string{outcomes[a], outcomes[b]}; got != step.outcomes {
				t.Errorf("outcomes = %q, want %q", got, step.outcomes)
			}
			if got := partitions(t, k, a); got != step.parts {
				t.Errorf("partitions = %d, want %d", got, step.parts)
			}
			if got := fmt.Sprint(overrides(t, k, b)); got != step.overridesOfB {
				t.Errorf("overrides = %s, want %s", got, step.overridesOfB)
			}
		})
	}
}

func TestWhatCannotBeDoneIsRefusedWholeAndAtOnce(t *testing.T) {
	k := brokertest.Start(t)
	shrinks, other, fine := k.Topic(t, "shrinks", 4, nil), k.Topic(t, "replicas", 1, nil), brokertest.Unique("fine")
	if _, err := apply(t, k.BootstrapServers, "30s", declared{Name: fine, Partitions: 1, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	now, err := k.Admin().ListTopics(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	replicas := now[other].Partitions.NumReplicas()

	start := time.Now()
	outcomes, err := apply(t, k.BootstrapServers, "30s",
		declared{Name: shrinks, Partitions: 2, Replication: replicas, Config: map[string]string{"retention.ms": "1"}},
		declared{Name: other, Partitions: 2, Replication: replicas + 1},
		declared{Name: fine, Partitions: 3, Replication: 1})
	if err == nil {
		t.Fatal("shrinking was not refused")
	}
	for _, want := range []string{
		fmt.Sprintf("topic %q has 4 partitions but 2 are declared", shrinks), "declare 4",
		fmt.Sprintf("topic %q has replication factor %d but %d is declared", other, replicas, replicas+1), "kafka-reassign-partitions.sh",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("a refusal was tried again for %v", took)
	}
	if got := partitions(t, k, shrinks); got != 4 {
		t.Errorf("the refused topic has %d partitions now", got)
	}
	if got := overrides(t, k, shrinks); len(got) != 0 {
		t.Errorf("the refused topic was reconfigured: %v", got)
	}
	if got := partitions(t, k, other); got != 1 {
		t.Errorf("the refused topic has %d partitions now", got)
	}
	if outcomes[shrinks] != "failed" || outcomes[other] != "failed" || outcomes[fine] != "grown" {
		t.Errorf("outcomes = %v", outcomes)
	}
}

func TestSeveralRunsAtOnceAgree(t *testing.T) {
	k := brokertest.Start(t)
	a, b := brokertest.Unique("a"), brokertest.Unique("b")
	for _, count := range []int{3, 7} {
		var wg sync.WaitGroup
		created := make(chan string, 8)
		for range 4 {
			wg.Go(func() {
				outcomes, err := apply(t, k.BootstrapServers, "30s",
					declared{Name: a, Partitions: count, Replication: 1, Config: map[string]string{"cleanup.policy": "compact"}},
					declared{Name: b, Partitions: count, Replication: 1})
				if err != nil {
					t.Error(err)
				}
				for name, outcome := range outcomes {
					if strings.Contains(outcome, "created") {
						created <- name
					}
				}
			})
		}
		wg.Wait()
		if want := map[int]int{3: 2, 7: 0}[count]; len(created) != want {
			t.Errorf("%d creations were claimed, want %d", len(created), want)
		}
		for len(created) > 0 {
			<-created
		}
		if pa, pb := partitions(t, k, a), partitions(t, k, b); pa != count || pb != count {
			t.Errorf("partitions = %d and %d, want %d", pa, pb, count)
		}
	}
}

func TestALostRaceIsReadAgain(t *testing.T) {
	k := brokertest.Start(t)
	if k.Embedded == nil {
		t.Skip("injects faults into the embedded broker")
	}
	topic := k.Topic(t, "orders", 2, nil)
	// Another run was faster: the broker reports that, once.
	k.Embedded.Cluster.ControlKey(int16(kmsg.CreatePartitions), func(r kmsg.Request) (kmsg.Response, error, bool) {
		response := r.ResponseKind().(*kmsg.CreatePartitionsResponse)
		entry := kmsg.NewCreatePartitionsResponseTopic()
		entry.Topic, entry.ErrorCode = topic, kerr.InvalidPartitions.Code
		entry.ErrorMessage = kmsg.StringPtr("Topic already has 4 partition(s).")
		response.Topics = append(response.Topics, entry)
		return response, nil, true
	})
	outcomes, err := apply(t, k.BootstrapServers, "30s", declared{Name: topic, Partitions: 4, Replication: 1})
	if err != nil || outcomes[topic] != "grown" || partitions(t, k, topic) != 4 {
		t.Errorf("outcomes = %v, err = %v", outcomes, err)
	}
}

func TestTheBrokersRefusalIsShownWithTheTopicsName(t *testing.T) {
	k := brokertest.Start(t)
	bad, good, existing := brokertest.Unique("bad"), brokertest.Unique("good"), k.Topic(t, "existing", 1, nil)
	message := "Unknown topic config name: retention.hours"
	if k.Embedded != nil { // it accepts any config
		k.Embedded.Cluster.ControlKey(int16(kmsg.CreateTopics), func(r kmsg.Request) (kmsg.Response, error, bool) {
			if len(r.(*kmsg.CreateTopicsRequest).Topics) != 2 {
				return nil, nil, false
			}
			response := r.ResponseKind().(*kmsg.CreateTopicsResponse)
			for _, asked := range r.(*kmsg.CreateTopicsRequest).Topics {
				entry := kmsg.NewCreateTopicsResponseTopic()
				entry.Topic = asked.Topic
				// The good one gets a transient error.
				entry.ErrorCode = kerr.RequestTimedOut.Code
				if asked.Topic == bad {
					entry.ErrorCode, entry.ErrorMessage = kerr.InvalidConfig.Code, &message
				}
				response.Topics = append(response.Topics, entry)
			}
			return response, nil, true
		})
		k.Embedded.Cluster.ControlKey(int16(kmsg.IncrementalAlterConfigs), func(r kmsg.Request) (kmsg.Response, error, bool) {
			response := r.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
			entry := kmsg.NewIncrementalAlterConfigsResponseResource()
			entry.ResourceType, entry.ResourceName = kmsg.ConfigResourceTypeTopic, existing
			entry.ErrorCode, entry.ErrorMessage = kerr.InvalidConfig.Code, &message
			response.Resources = append(response.Resources, entry)
			return response, nil, true
		})
	}
	now, err := k.Admin().ListTopics(t.Context(), existing)
	if err != nil {
		t.Fatal(err)
	}
	wrong := map[string]string{"retention.hours": "7"}
	outcomes, err := apply(t, k.BootstrapServers, "30s",
		declared{Name: bad, Partitions: 1, Replication: 1, Config: wrong},
		declared{Name: good, Partitions: 1, Replication: 1},
		declared{Name: existing, Partitions: 1, Replication: now[existing].Partitions.NumReplicas(), Config: wrong})
	if err == nil {
		t.Fatal("the broker's refusal was not reported")
	}
	for _, topic := range []string{bad, existing} {
		if want := fmt.Sprintf("topic %q: the broker refuses: ", topic); !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "retention.hours") {
			t.Errorf("error lacks %q with the broker's message:\n%v", want, err)
		}
	}
	if outcomes[bad] != "failed" || outcomes[good] != "created" || outcomes[existing] != "failed" {
		t.Errorf("outcomes = %v", outcomes)
	}
}

func TestBrokersThatStartLaterAreWaitedFor(t *testing.T) {
	port := freeport.Get(t)
	started := make(chan *broker.Broker, 1)
	time.AfterFunc(700*time.Millisecond, func() {
		b, err := broker.Start(broker.Options{Ports: []int{port}})
		if err != nil {
			t.Error(err)
		}
		started <- b
	})
	t.Cleanup(func() { (<-started).Close() })
	outcomes, err := apply(t, fmt.Sprintf("127.0.0.1:%d", port), "30s", declared{Name: "late", Partitions: 1, Replication: 1})
	if err != nil || outcomes["late"] != "created" {
		t.Errorf("outcomes = %v, err = %v", outcomes, err)
	}
}

func TestTimeoutSaysWhatIsMissing(t *testing.T) {
	k := brokertest.Start(t)
	topic := brokertest.Unique("wide")
	_, err := apply(t, k.BootstrapServers, "1s", declared{Name: topic, Partitions: 1, Replication: 99})
	for _, want := range []string{"after TIMEOUT (1s)", topic, "replicationFactor 99 needs as many brokers"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
	_, err = apply(t, "127.0.0.1:1", "1s", declared{Name: topic, Partitions: 1, Replication: 1})
	if err == nil || !strings.Contains(err.Error(), "no broker answers") {
		t.Errorf("err = %v", err)
	}
}

func TestBadDeclarationsEndTheStart(t *testing.T) {
	err := run(t.Context(), nil, []string{"KAFKA_BOOTSTRAP_SERVERS=nowhere", `TOPICS=[{"name":"a b","partitions":0}]`, "TIMEOUT=-1s"}, &bytes.Buffer{})
	for _, want := range []string{"KAFKA_BOOTSTRAP_SERVERS", "TIMEOUT must be greater than 0", `name "a b"`, "partitions must be", "replicationFactor is required"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
}
