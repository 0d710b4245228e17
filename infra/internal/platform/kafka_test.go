package platform

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/plan"
)

func TestKafkaNodesAgree(t *testing.T) {
	eachStack(t, func(t *testing.T, stack testStack, declared resources) {
		if c, _ := stack.parsed(t); c.Kafka.IsExternal() {
			return // TestAnExternalKafkaReplacesTheStacksOwn
		}
		ids := map[int]string{}
		var voters, clusterIDs []string
		brokers := 0
		minISR := map[string]bool{}
		for name, set := range objects[appsv1.StatefulSet](t, declared, "StatefulSet") {
			env := environment(t, declared, name)
			if env["CLUSTER_ID"].Value == "" {
				continue // not Kafka
			}
			voters = append(voters, env["KAFKA_CONTROLLER_QUORUM_VOTERS"].Value)
			clusterIDs = append(clusterIDs, env["CLUSTER_ID"].Value)
			minISR[env["KAFKA_MIN_INSYNC_REPLICAS"].Value] = true
			for i := range int(*set.Spec.Replicas) {
				id, err := strconv.Atoi(strings.ReplaceAll(env["KAFKA_NODE_ID"].Value, "$(POD_INDEX)", strconv.Itoa(i)))
				if err != nil {
					t.Fatal(err)
				}
				pod := fmt.Sprintf("%s-%d", name, i)
				if other, taken := ids[id]; taken {
					t.Errorf("%s and %s have the same node id %d", pod, other, id)
				}
				ids[id] = pod
			}
			if strings.Contains(env["KAFKA_PROCESS_ROLES"].Value, "broker") {
				brokers += int(*set.Spec.Replicas)
			}
			if !strings.HasPrefix(env["KAFKA_LOG_DIRS"].Value, "/var/lib/kafka/data/") {
				t.Errorf("%s keeps its data in %q, outside a folder of its volume", name, env["KAFKA_LOG_DIRS"].Value)
			}
		}
		if len(slices.Compact(voters)) != 1 || len(slices.Compact(clusterIDs)) != 1 || len(minISR) != 1 {
			t.Errorf("nodes differ in voters %q, cluster ids %q or min ISR %v", voters, clusterIDs, minISR)
		}
		if !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{21}$`).MatchString(clusterIDs[0]) {
			t.Errorf("cluster id %q", clusterIDs[0])
		}
		for _, voter := range strings.Split(voters[0], ",") {
			id, address, _ := strings.Cut(voter, "@")
			number, err := strconv.Atoi(id)
			if err != nil {
				t.Fatal(err)
			}
			if host, _, _ := strings.Cut(address, "."); ids[number] != host {
				t.Errorf("voter %s is %s, whose node id is another", voter, ids[number])
			}
		}
		if count := len(strings.Split(voters[0], ",")); count%2 == 0 {
			t.Errorf("%d voters", count)
		}
		for _, topic := range declaredTopics(t, declared) {
			isr, err := strconv.Atoi(topic.Config["min.insync.replicas"])
			if err != nil {
				t.Fatal(err)
			}
			if topic.ReplicationFactor > brokers || isr > topic.ReplicationFactor {
				t.Errorf("topic %s: %d copies, %d in sync, %d brokers", topic.Name, topic.ReplicationFactor, isr, brokers)
			}
			if brokers >= 3 && (topic.ReplicationFactor != 3 || isr != 2) {
				t.Errorf("topic %s: %d copies and %d in sync do not survive the loss of a broker", topic.Name,
					topic.ReplicationFactor, isr)
			}
		}
	})
}

func declaredTopics(t *testing.T, declared resources) []kafka.Topic {
	t.Helper()
	var topics []kafka.Topic
	if err := json.Unmarshal([]byte(environment(t, declared, plan.TopicsJob)["TOPICS"].Value), &topics); err != nil {
		t.Fatal(err)
	}
	return topics
}
