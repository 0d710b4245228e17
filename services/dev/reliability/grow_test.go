package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"shopstream/services/internal/retry"
)

// Three brokers become five, and three again, under load: partitions move to the new ones
// and back, no shopper is refused, nothing is lost, and no partition falls below its
// min.insync.replicas, checked every second.
func TestBrokersGrowAndShrinkUnderLoad(t *testing.T) {
	s := ownStage(t, manifestOrSkip(t), "")
	load, sampled := loaded(t, s)

	if err := s.brokers.Grow(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	t.Log("five brokers are up")
	reconcileTopics(t, s, 5)
	held, led := shares(t, s)
	t.Logf("replicas by broker: %v, leaders by broker: %v", held, led)
	for id := range int32(5) {
		if held[id] < 3*total(led)/5-5 || led[id] < total(led)/5-3 {
			t.Errorf("broker %d doesn't have a fair share", id)
		}
	}

	drainTopics(t, s, 3)
	if held, _ := shares(t, s); held[3]+held[4] > 0 {
		t.Errorf("after the drain, replicas by broker: %v", held)
	}
	if err := s.brokers.Shrink(2); err != nil {
		t.Fatal(err)
	}
	reconcileTopics(t, s, 3)
	if ids := registered(t, s); !slices.Equal(ids, []int32{0, 1, 2}) {
		t.Errorf("registered: %v", ids)
	}
	judge(t, load, sampled)
}

// A single broker becomes three under load: every partition gets three replicas, two of
// which must be in sync from then on.
func TestASingleBrokerBecomesThreeUnderLoad(t *testing.T) {
	s := ownStage(t, filepath.Join(filepath.Dir(manifestOrSkip(t)), "small.yaml"), "")
	load, sampled := loaded(t, s)
	if err := s.brokers.Grow(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	reconcileTopics(t, s, 3)
	held, led := shares(t, s)
	t.Logf("replicas by broker: %v, leaders by broker: %v", held, led)
	for id := range int32(3) {
		if held[id] != total(led) {
			t.Errorf("broker %d has %d replicas of %d partitions", id, held[id], total(led))
		}
	}
	for topic, minimum := range minimums(t, s) {
		if minimum != 2 {
			t.Errorf("min.insync.replicas of %s is %d", topic, minimum)
		}
	}
	judge(t, load, sampled)
}

// An interrupted drain is continued by the next one.
func TestAnInterruptedDrainIsContinued(t *testing.T) {
	s := ownStage(t, manifestOrSkip(t), "")
	if err := s.brokers.Grow(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	reconcileTopics(t, s, 4)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	_, err := s.platform.run(ctx, "topics", []string{"TOPICS=" + declaredTopics(t, 3), "BROKERS=3"}, "drain")
	cancel()
	t.Logf("cut off: %v", err)
	drainTopics(t, s, 3)
	if held, _ := shares(t, s); held[3] > 0 {
		t.Errorf("replicas by broker: %v", held)
	}
	for _, setting := range throttles(t, s) {
		t.Error(setting)
	}
}

// ownStage is a stage that no other test goes on with. An empty release of Kafka is
// the current one.
func ownStage(t *testing.T, manifest, release string) *stage {
	t.Helper()
	stages := &stages{manifest: manifest, bin: buildServices(t), release: release}
	s := stages.take(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("logs are kept in %s", s.dir)
			stages.fail()
			return
		}
		stages.discard()
	})
	return s
}

// loaded starts the load, and waits until groups and transactions have created Kafka's
// internal topics.
func loaded(t *testing.T, s *stage) (*trial, func() []string) {
	t.Helper()
	load, err := s.begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	retry.Sleep(t.Context(), 3*time.Second)
	return load, sampleInSync(t, s)
}

// judge ends the load: every response was a 202, each acknowledged purchase is stored once,
// and no partition was below its minimum.
func judge(t *testing.T, load *trial, sampled func() []string) {
	t.Helper()
	retry.Sleep(t.Context(), 2*time.Second)
	samples := sampled()
	r, err := load.conclude(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.rows() {
		t.Logf("%-18s %s", row[0], row[1])
	}
	if err := r.faults(); err != nil {
		t.Error(err)
	}
	if r.Refused+r.Cut > 0 || len(r.Wrong) > 0 {
		t.Errorf("%d refused, %d cut off, %d other answers than 202", r.Refused, r.Cut, len(r.Wrong))
	}
	if r.Stall > 2*time.Second {
		t.Errorf("nothing was acknowledged for %s", r.Stall)
	}
	for _, below := range samples {
		t.Error(below)
	}
}

// reconcileTopics and drainTopics do what the Jobs of `make up` do.
func reconcileTopics(t *testing.T, s *stage, brokers int) {
	t.Helper()
	runTopics(t, s, brokers)
}

func drainTopics(t *testing.T, s *stage, brokers int) {
	t.Helper()
	runTopics(t, s, brokers, "drain")
}

func runTopics(t *testing.T, s *stage, brokers int, arguments ...string) string {
	t.Helper()
	start := time.Now()
	output, err := s.platform.run(t.Context(), "topics", []string{"TOPICS=" + declaredTopics(t, min(3, brokers)), fmt.Sprintf("BROKERS=%d", brokers), "FINALIZE_AFTER=3s"}, arguments...)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("topics %s with %d brokers took %s:\n%s", strings.Join(arguments, " "), brokers, time.Since(start).Round(time.Millisecond), output)
	return output
}

func shares(t *testing.T, s *stage) (held, led map[int32]int) {
	t.Helper()
	held, led = map[int32]int{}, map[int32]int{}
	inTopics(t, s, func(_ *kadm.Client, topics kadm.TopicDetails) {
		topics.EachPartition(func(p kadm.PartitionDetail) {
			led[p.Leader]++
			for _, id := range p.Replicas {
				held[id]++
			}
		})
	})
	return held, led
}

func total(share map[int32]int) int {
	sum := 0
	for _, n := range share {
		sum += n
	}
	return sum
}

func registered(t *testing.T, s *stage) []int32 {
	t.Helper()
	var ids []int32
	inTopics(t, s, func(admin *kadm.Client, _ kadm.TopicDetails) {
		md, err := admin.BrokerMetadata(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ids = md.Brokers.NodeIDs()
	})
	return ids
}

func minimums(t *testing.T, s *stage) map[string]int {
	t.Helper()
	found := map[string]int{}
	eachTopicSetting(t, s, func(topic, key, value string) {
		if key == "min.insync.replicas" {
			var n int
			_, _ = fmt.Sscan(value, &n)
			found[topic] = n
		}
	})
	return found
}

// throttles returns the throttle settings that are left after moving partitions.
func throttles(t *testing.T, s *stage) []string {
	t.Helper()
	var found []string
	eachTopicSetting(t, s, func(topic, key, value string) {
		if strings.HasSuffix(key, "throttled.replicas") && value != "" {
			found = append(found, fmt.Sprintf("%s of %s is still %s", key, topic, value))
		}
	})
	return found
}

func eachTopicSetting(t *testing.T, s *stage, visit func(topic, key, value string)) {
	t.Helper()
	inTopics(t, s, func(admin *kadm.Client, topics kadm.TopicDetails) {
		configs, err := admin.DescribeTopicConfigs(t.Context(), topics.Names()...)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range configs {
			for _, entry := range c.Configs {
				visit(c.Name, entry.Key, entry.MaybeValue())
			}
		}
	})
}

// inTopics uses a new client, whose cache is empty.
func inTopics(t *testing.T, s *stage, use func(*kadm.Client, kadm.TopicDetails)) {
	t.Helper()
	admin, err := s.brokers.Admin()
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	topics, err := admin.ListTopicsWithInternal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	use(admin, topics)
}

func declaredTopics(t *testing.T, replication int) string {
	t.Helper()
	declared, err := topicsDeclaration(replication, nil)
	if err != nil {
		t.Fatal(err)
	}
	return declared
}
