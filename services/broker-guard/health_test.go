package main

import (
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/testkit/broker"
)

func TestTheHealthOfTheClusterIsTold(t *testing.T) {
	k := embedded(t)
	k.answer(kmsg.Metadata, func(kmsg.Request) kmsg.Response {
		m := k.metadata()
		m.Topics = []kmsg.MetadataResponseTopic{topicOf("orders",
			madeOf(0, []int32{0, 1, 2}, []int32{0, 1, 2}),
			madeOf(0, []int32{0, 1, 2}, []int32{0, 1}),
			madeOf(1, []int32{0, 1, 2}, []int32{1}),
			madeOf(-1, []int32{0, 1, 2}, nil),
			madeOf(0, []int32{0, 1, 2, 3}, []int32{0, 1, 2}), // 3 is being added
			madeOf(2, []int32{2}, []int32{2}),                // has one replica, which is less than min.insync.replicas
		)}
		return m
	})
	k.answer(kmsg.DescribeConfigs, func(kmsg.Request) kmsg.Response {
		value := "2"
		entry := kmsg.NewDescribeConfigsResponseResourceConfig()
		entry.Name, entry.Value = minInSyncReplicas, &value
		resource := kmsg.NewDescribeConfigsResponseResource()
		resource.ResourceName, resource.Configs = "orders", append(resource.Configs, entry)
		response := kmsg.NewPtrDescribeConfigsResponse()
		response.Resources = append(response.Resources, resource)
		return response
	})
	k.answer(kmsg.ListPartitionReassignments, func(kmsg.Request) kmsg.Response {
		partition := kmsg.NewListPartitionReassignmentsResponseTopicPartition()
		partition.Partition, partition.AddingReplicas = 4, []int32{3}
		topic := kmsg.NewListPartitionReassignmentsResponseTopic()
		topic.Topic, topic.Partitions = "orders", append(topic.Partitions, partition)
		response := kmsg.NewPtrListPartitionReassignmentsResponse()
		response.Topics = append(response.Topics, topic)
		return response
	})
	k.answer(kmsg.DescribeLogDirs, func(kmsg.Request) kmsg.Response {
		orders := kmsg.NewDescribeLogDirsResponseDirTopic()
		orders.Topic = "orders"
		for p := range int32(3) {
			orders.Partitions = append(orders.Partitions, kmsg.DescribeLogDirsResponseDirTopicPartition{Partition: p, Size: 100})
		}
		good, bad := kmsg.NewDescribeLogDirsResponseDir(), kmsg.NewDescribeLogDirsResponseDir()
		good.Dir, good.TotalBytes, good.UsableBytes, good.Topics = "/data/a", 1000, 700, append(good.Topics, orders)
		bad.Dir, bad.ErrorCode = "/data/b", kerr.KafkaStorageError.Code
		response := kmsg.NewPtrDescribeLogDirsResponse()
		response.Dirs = append(response.Dirs, good, bad)
		return response
	})
	k.answer(kmsg.DescribeQuorum, func(kmsg.Request) kmsg.Response {
		return quorumOf(1, state(0, 90, 5000), state(1, 100, 9000), state(2, 0, -1))
	})
	k.offers(map[string]int16{"metadata.version": 30, "group.version": 1}, map[string]int16{"metadata.version": 27})

	want := map[string]float64{
		`kafka_health_readable{part="partitions"}`:                  1,
		`kafka_health_readable{part="disks"}`:                       1,
		`kafka_health_readable{part="quorum"}`:                      1,
		`kafka_health_readable{part="features"}`:                    1,
		`kafka_brokers{}`:                                           1,
		`kafka_partitions{}`:                                        6,
		`kafka_partitions_under_replicated{}`:                       3,
		`kafka_replicas_out_of_sync{node="0"}`:                      2,
		`kafka_replicas_out_of_sync{node="1"}`:                      1,
		`kafka_replicas_out_of_sync{node="2"}`:                      3,
		`kafka_replicas_out_of_sync{node="3"}`:                      0,
		`kafka_partitions_under_min_isr{}`:                          2,
		`kafka_partitions_offline{}`:                                1,
		`kafka_log_dirs_offline{}`:                                  1,
		`kafka_log_size_bytes{topic="orders"}`:                      300,
		`kafka_log_dir_usable_bytes{dir="/data/a"}`:                 700,
		`kafka_log_dir_total_bytes{dir="/data/a"}`:                  1000,
		`kafka_active_controller{node="1"}`:                         1,
		`kafka_quorum_lag_records{node="0",role="voter"}`:           10,
		`kafka_quorum_lag_records{node="1",role="voter"}`:           0,
		`kafka_quorum_lag_records{node="2",role="voter"}`:           100,
		`kafka_quorum_lag_seconds{node="0",role="voter"}`:           4,
		`kafka_quorum_lag_seconds{node="1",role="voter"}`:           0,
		`kafka_quorum_lag_seconds{node="2",role="voter"}`:           math.Inf(1),
		`kafka_feature_finalized_level{feature="metadata.version"}`: 27,
		`kafka_feature_finalized_level{feature="group.version"}`:    0,
		`kafka_feature_supported_level{feature="metadata.version"}`: 30,
		`kafka_feature_supported_level{feature="group.version"}`:    1,
	}
	if got := told(t, k.health(t, true)); !maps.Equal(got, want) {
		t.Errorf("told:\n%s\nwant:\n%s", lines(got), lines(want))
	}
}

// As on a node whose broker is up, while no controller is.
func TestAPartThatIsNotAnsweredHidesNoOther(t *testing.T) {
	k := embedded(t)
	k.answer(kmsg.DescribeQuorum, func(kmsg.Request) kmsg.Response {
		response := quorumOf(-1)
		response.Topics[0].Partitions[0].ErrorCode = kerr.NotController.Code
		return response
	})
	got := told(t, k.health(t, true))
	if readable, found := got[`kafka_health_readable{part="quorum"}`]; !found || readable != 0 {
		t.Errorf("the quorum is readable:\n%s", lines(got))
	}
	for _, part := range []string{"partitions", "disks", "features"} {
		if got[fmt.Sprintf(`kafka_health_readable{part=%q}`, part)] != 1 {
			t.Errorf("%s is missing:\n%s", part, lines(got))
		}
	}
}

// Of a node whose broker doesn't answer, nothing is told but that.
func TestABrokerThatIsDownIsSaidToBe(t *testing.T) {
	k := embedded(t)
	h := k.health(t, true)
	k.Close()
	want := map[string]float64{
		`kafka_health_readable{part="partitions"}`: 0, `kafka_health_readable{part="disks"}`: 0,
		`kafka_health_readable{part="quorum"}`: 0, `kafka_health_readable{part="features"}`: 0,
	}
	start := time.Now()
	if got := told(t, h); !maps.Equal(got, want) {
		t.Errorf("told:\n%s\nwant:\n%s", lines(got), lines(want))
	}
	if took := time.Since(start); took > healthTimeout+time.Second {
		t.Errorf("it took %s", took)
	}
}

// A node that is only a controller has no broker to ask about.
func TestAControllerTellsOfTheQuorum(t *testing.T) {
	k := embedded(t)
	k.answer(kmsg.DescribeQuorum, func(kmsg.Request) kmsg.Response { return quorumOf(1000, state(1000, 100, 9000)) })
	want := map[string]float64{
		`kafka_health_readable{part="quorum"}`: 1, `kafka_active_controller{node="1000"}`: 1,
		`kafka_quorum_lag_records{node="1000",role="voter"}`: 0, `kafka_quorum_lag_seconds{node="1000",role="voter"}`: 0,
	}
	if got := told(t, k.health(t, false)); !maps.Equal(got, want) {
		t.Errorf("told:\n%s\nwant:\n%s", lines(got), lines(want))
	}
}

func TestHoweverManyAskTheBrokerIsAskedOnce(t *testing.T) {
	k := embedded(t)
	k.answer(kmsg.DescribeQuorum, func(kmsg.Request) kmsg.Response { return quorumOf(0, state(0, 100, 9000)) })
	var asked atomic.Int32
	k.answer(kmsg.DescribeLogDirs, func(kmsg.Request) kmsg.Response {
		asked.Add(1)
		return kmsg.NewPtrDescribeLogDirsResponse()
	})
	h := k.health(t, true)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { told(t, h) })
	}
	all.Wait()
	if asked.Load() != 1 {
		t.Errorf("the broker was asked %d times", asked.Load())
	}
}

func TestSmallTopicsAreAddedUp(t *testing.T) {
	sizes := map[string]int64{"a": 1, "b": 5, "c": 2, "d": 9}
	if got := largest(sizes, 2); !maps.Equal(got, map[string]int64{"d": 9, "b": 5, otherTopics: 3}) {
		t.Errorf("largest 2: %v", got)
	}
	if got := largest(sizes, 4); !maps.Equal(got, sizes) {
		t.Errorf("largest 4: %v", got)
	}
}

// fake is the embedded broker, some of whose answers are written by the test.
type fake struct {
	*broker.Broker

	versions *kmsg.ApiVersionsResponse
}

// embedded starts one that offers, unlike kfake, what a real broker does: requests for the state of the quorum.
func embedded(t *testing.T) *fake {
	t.Helper()
	b, err := broker.Start(broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	k := &fake{Broker: b}
	k.offers(nil, nil)
	return k
}

func (k *fake) answer(key kmsg.Key, with func(kmsg.Request) kmsg.Response) {
	k.Cluster.ControlKey(key.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		k.Cluster.KeepControl()
		response := with(request)
		response.SetVersion(request.GetVersion())
		return response, nil, true
	})
}

// offers says which requests and features it knows.
func (k *fake) offers(supported, finalized map[string]int16) {
	first := k.versions == nil
	versions := kmsg.NewPtrApiVersionsResponse()
	for _, request := range []kmsg.Request{
		kmsg.NewPtrMetadataRequest(), kmsg.NewPtrApiVersionsRequest(), kmsg.NewPtrDescribeConfigsRequest(), kmsg.NewPtrDescribeLogDirsRequest(),
		kmsg.NewPtrListPartitionReassignmentsRequest(), kmsg.NewPtrDescribeQuorumRequest(),
	} {
		versions.ApiKeys = append(versions.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: request.Key(), MaxVersion: request.MaxVersion()})
	}
	for name, level := range supported {
		versions.SupportedFeatures = append(versions.SupportedFeatures, kmsg.ApiVersionsResponseSupportedFeature{Name: name, MaxVersion: level})
	}
	for name, level := range finalized {
		versions.FinalizedFeatures = append(versions.FinalizedFeatures, kmsg.ApiVersionsResponseFinalizedFeature{Name: name, MaxVersionLevel: level})
	}
	k.versions = versions
	if first {
		k.answer(kmsg.ApiVersions, func(kmsg.Request) kmsg.Response { return k.versions })
	}
}

func (k *fake) health(t *testing.T, isBroker bool) *health {
	t.Helper()
	c, err := connect(config{Servers: k.BootstrapServers()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return newHealth(c, 0, isBroker, slog.New(slog.NewTextHandler(t.Output(), nil)))
}

// metadata is of a cluster with one broker and no topic.
func (k *fake) metadata() *kmsg.MetadataResponse {
	host, port, _ := net.SplitHostPort(k.BootstrapServers())
	number, _ := strconv.Atoi(port)
	m := kmsg.NewPtrMetadataResponse()
	m.ControllerID = 0
	m.Brokers = append(m.Brokers, kmsg.MetadataResponseBroker{NodeID: 0, Host: host, Port: int32(number)})
	return m
}

func topicOf(name string, partitions ...kmsg.MetadataResponseTopicPartition) kmsg.MetadataResponseTopic {
	topic := kmsg.NewMetadataResponseTopic()
	topic.Topic = &name
	for i, p := range partitions {
		p.Partition = int32(i)
		topic.Partitions = append(topic.Partitions, p)
	}
	return topic
}

func madeOf(leader int32, replicas, isr []int32) kmsg.MetadataResponseTopicPartition {
	p := kmsg.NewMetadataResponseTopicPartition()
	p.Leader, p.Replicas, p.ISR = leader, replicas, isr
	return p
}

func quorumOf(leader int32, voters ...kmsg.DescribeQuorumResponseTopicPartitionReplicaState) *kmsg.DescribeQuorumResponse {
	partition := kmsg.NewDescribeQuorumResponseTopicPartition()
	partition.LeaderID, partition.CurrentVoters = leader, voters
	topic := kmsg.NewDescribeQuorumResponseTopic()
	topic.Topic, topic.Partitions = "__cluster_metadata", append(topic.Partitions, partition)
	response := kmsg.NewPtrDescribeQuorumResponse()
	response.Topics = append(response.Topics, topic)
	return response
}

func state(id int32, end, caughtUp int64) kmsg.DescribeQuorumResponseTopicPartitionReplicaState {
	return kmsg.DescribeQuorumResponseTopicPartitionReplicaState{ReplicaID: id, LogEndOffset: end, LastFetchTimestamp: caughtUp, LastCaughtUpTimestamp: caughtUp}
}

// told returns the metrics by name and labels.
func told(t *testing.T, h *health) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(h); err != nil {
		t.Error(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Error(err)
	}
	all := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName() + "{"
			for i, label := range m.GetLabel() {
				if i > 0 {
					name += ","
				}
				name += label.GetName() + "=" + strconv.Quote(label.GetValue())
			}
			all[name+"}"] = m.GetGauge().GetValue()
		}
	}
	return all
}

func lines(metrics map[string]float64) string {
	var text string
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		text += fmt.Sprintln(name, metrics[name])
	}
	return text
}
