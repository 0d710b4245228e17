package brokertest

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Knowledge is the metadata of topics at one time.
type Knowledge struct {
	topics  map[string]kmsg.MetadataResponseTopic
	brokers []kmsg.MetadataResponseBroker
}

// Knowledge returns the current metadata of topics, for LagBehind.
func (k *Kafka) Knowledge(t testing.TB, topics ...string) Knowledge {
	t.Helper()
	known := Knowledge{topics: map[string]kmsg.MetadataResponseTopic{}}
	for _, topic := range topics {
		request := kmsg.NewPtrMetadataRequest()
		asked := kmsg.NewMetadataRequestTopic()
		asked.Topic = &topic
		request.Topics = append(request.Topics, asked)
		answer, err := request.RequestWith(t.Context(), k.client)
		if err != nil {
			t.Fatalf("asking for topic %q: %v", topic, err)
		}
		known.topics[topic], known.brokers = answer.Topics[0], answer.Brokers
	}
	return known
}

// LagBehind makes the first embedded broker return old metadata, like a broker that was
// suspended, until release is called. It returns the broker's address. On real brokers
// the test is skipped.
func (k *Kafka) LagBehind(t testing.TB, known Knowledge) (address string, release func()) {
	t.Helper()
	if k.Embedded == nil {
		t.Skip("only an embedded broker can be told to lag behind")
	}
	cluster := k.Embedded.Cluster
	var released atomic.Bool
	cluster.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if released.Load() {
			return nil, nil, false
		}
		cluster.KeepControl()
		asked := r.(*kmsg.MetadataRequest)
		unknown := func(topic kmsg.MetadataRequestTopic) bool {
			return topic.Topic == nil || known.topics[*topic.Topic].Topic == nil
		}
		if cluster.CurrentNode() != 0 || len(asked.Topics) == 0 || slices.ContainsFunc(asked.Topics, unknown) {
			return nil, nil, false
		}
		answer := asked.ResponseKind().(*kmsg.MetadataResponse)
		answer.Brokers = known.brokers
		for _, topic := range asked.Topics {
			answer.Topics = append(answer.Topics, known.topics[*topic.Topic])
		}
		return answer, nil, true
	})
	return cluster.ListenAddrs()[0], func() { released.Store(true) }
}

// LedByTheFirst makes the first embedded broker the leader of each topic's partition 0.
// If old metadata named another leader than now, clients would have to find the new one
// before anything else.
func (k *Kafka) LedByTheFirst(t testing.TB, topics ...string) {
	t.Helper()
	for _, topic := range topics {
		if err := k.Embedded.Cluster.MoveTopicPartition(topic, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
}
