package main

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/testkit/brokertest"
)

// A response that doesn't say what a partition holds must not be taken for an empty
// partition. Each such response is given once, as real brokers give it, before the
// right one.
func TestAnAnswerWithoutRecordsIsNoEmptyPartition(t *testing.T) {
	fetched := func(change func(*kmsg.FetchResponse, *kmsg.FetchResponseTopicPartition)) func(kmsg.Request) kmsg.Response {
		return func(r kmsg.Request) kmsg.Response {
			asked := r.(*kmsg.FetchRequest)
			answer := asked.ResponseKind().(*kmsg.FetchResponse)
			for _, topic := range asked.Topics {
				t := kmsg.NewFetchResponseTopic()
				t.Topic, t.TopicID = topic.Topic, topic.TopicID
				for _, partition := range topic.Partitions {
					p := kmsg.NewFetchResponseTopicPartition()
					p.Partition, p.HighWatermark, p.LastStableOffset = partition.Partition, 20, 20
					change(answer, &p)
					t.Partitions = append(t.Partitions, p)
				}
				answer.Topics = append(answer.Topics, t)
			}
			return answer
		}
	}
	listed := func(offset int64, missing bool) func(kmsg.Request) kmsg.Response {
		return func(r kmsg.Request) kmsg.Response {
			asked := r.(*kmsg.ListOffsetsRequest)
			answer := asked.ResponseKind().(*kmsg.ListOffsetsResponse)
			for _, topic := range asked.Topics {
				t := kmsg.NewListOffsetsResponseTopic()
				t.Topic = topic.Topic
				for _, partition := range topic.Partitions {
					if missing {
						continue
					}
					p := kmsg.NewListOffsetsResponseTopicPartition()
					p.Partition, p.Offset = partition.Partition, offset
					t.Partitions = append(t.Partitions, p)
				}
				answer.Topics = append(answer.Topics, t)
			}
			return answer
		}
	}
	for name, tt := range map[string]struct {
		key    int16
		answer func(kmsg.Request) kmsg.Response
	}{
		"throttled": {keyFetch, fetched(func(r *kmsg.FetchResponse, _ *kmsg.FetchResponseTopicPartition) { r.ThrottleMillis = 1 })},
		"a new leader that doesn't know the high watermark yet": {keyFetch, fetched(func(_ *kmsg.FetchResponse, p *kmsg.FetchResponseTopicPartition) {
			p.HighWatermark, p.LastStableOffset = 0, 0
		})},
		"a new leader that lacks the end": {keyFetch, fetched(func(_ *kmsg.FetchResponse, p *kmsg.FetchResponseTopicPartition) {
			p.ErrorCode, p.HighWatermark, p.LastStableOffset, p.LogStartOffset = kerr.OffsetOutOfRange.Code, -1, -1, -1
		})},
		"no records, for once":             {keyFetch, fetched(func(*kmsg.FetchResponse, *kmsg.FetchResponseTopicPartition) {})},
		"an offset that the leader lacks":  {keyListOffsets, listed(-1, false)},
		"partitions missing in the answer": {keyListOffsets, listed(0, true)},
	} {
		t.Run(name, func(t *testing.T) {
			k := brokertest.Start(t)
			if k.Embedded == nil {
				t.Skip("makes the embedded broker give such responses")
			}
			s := start(t, k.BootstrapServers)
			topic := k.Topic(t, "gaps", 1, nil)
			client := writer(t, k)
			for i := range 20 {
				write(t, client, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "needle %d", i)})
			}
			for _, query := range []string{"", "&contains=needle"} {
				k.Embedded.Cluster.ControlKey(tt.key, func(r kmsg.Request) (kmsg.Response, error, bool) { return tt.answer(r), nil, true })
				got, a := s.messages(t, "/messages?limit=100&topic="+topic+query)
				if len(got) != 20 || a.header.Get("X-Complete") != "true" {
					t.Errorf("%q: %d messages, complete %s", query, len(got), a.header.Get("X-Complete"))
				}
			}
		})
	}
}

// Retention deletes the beginning of the log after it was located. The error of real
// brokers doesn't say where the log starts now.
func TestTheRestIsReadIfTheBeginningIsDeleted(t *testing.T) {
	k := brokertest.Start(t)
	if k.Embedded == nil {
		t.Skip("deletes records between two requests to the embedded broker")
	}
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "expired", 1, nil)
	client := writer(t, k)
	for range 20 {
		write(t, client, &kgo.Record{Topic: topic, Value: []byte("x")})
	}
	k.Embedded.Cluster.ControlKey(keyFetch, func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.Embedded.Cluster.SleepControl(func() {
			if _, err := k.Admin().DeleteRecords(t.Context(), kadm.Offsets{topic: {0: {Topic: topic, At: 15}}}); err != nil {
				t.Error(err)
			}
		})
		asked := r.(*kmsg.FetchRequest)
		answer := asked.ResponseKind().(*kmsg.FetchResponse)
		refused := kmsg.NewFetchResponseTopic()
		refused.Topic, refused.TopicID = asked.Topics[0].Topic, asked.Topics[0].TopicID
		p := kmsg.NewFetchResponseTopicPartition()
		p.ErrorCode, p.HighWatermark, p.LastStableOffset, p.LogStartOffset = kerr.OffsetOutOfRange.Code, -1, -1, -1
		refused.Partitions = append(refused.Partitions, p)
		answer.Topics = append(answer.Topics, refused)
		return answer, nil, true
	})
	if got, a := s.messages(t, "/messages?limit=100&topic="+topic); len(got) != 5 {
		t.Errorf("%d messages, want 5: %v", len(got), a.header)
	}
}
