package main

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/testkit/brokertest"
)

// accepted returns n letters that are accepted when they are put back.
func (p *platform) accepted(n int) []*kgo.Record {
	var letters []*kgo.Record
	for i := range n {
		letters = append(letters, p.letter(`{"username":"bob","userid":"u2","price":3,"timestamp":5,"eventId":"`+uuid.NewString()+`"}`, int64(i), "u2"))
	}
	return letters
}

func (p *platform) wantReplay(t *testing.T, want string, args ...string) {
	t.Helper()
	if _, summary, err := p.replay(t, args...); err != nil || summary != "replay-dlq: "+want {
		t.Errorf("replay-dlq %q: %q, %v, want %q", args, summary, err, want)
	}
}

// Where a run starts depends on what an earlier one committed, and for which log.
func TestWhereAReplayStarts(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.oneDLQ(t)
	letters := p.accepted(12)
	p.kafka.Produce(t, letters[:5]...)
	p.wantReplay(t, "5 letters read, 5 put back, 0 left, 0 failed")
	p.kafka.Produce(t, letters[5:7]...)
	p.wantReplay(t, "2 letters read, 2 put back, 0 left, 0 failed")
	p.wantReplay(t, "0 letters read, 0 put back, 0 left, 0 failed")
	p.wantReplay(t, "7 letters read, 7 put back, 0 left, 0 failed", "--from-beginning")

	// The offset is one of the former log, and would be in the middle of this one.
	p.kafka.RecreateTopic(t, p.dlq, 1, nil)
	p.kafka.Produce(t, letters[7:]...)
	p.kafka.Produce(t, p.accepted(5)...)
	p.wantReplay(t, "10 letters read, 10 put back, 0 left, 0 failed")
	p.wantReplay(t, "0 letters read, 0 put back, 0 left, 0 failed")

	// Offsets of earlier versions, and those set by hand, name no log.
	commit := func(offset int64) {
		t.Helper()
		offsets := kadm.Offsets{}
		offsets.AddOffset(p.dlq, 0, offset, -1)
		if err := p.kafka.Admin().CommitAllOffsets(t.Context(), replayGroup, offsets); err != nil {
			t.Fatal(err)
		}
	}
	commit(8)
	p.wantReplay(t, "2 letters read, 2 put back, 0 left, 0 failed")
	commit(40) // there is no such offset
	p.wantReplay(t, "10 letters read, 10 put back, 0 left, 0 failed")

	// Retention has passed the offset.
	commit(2)
	if _, err := p.kafka.Admin().DeleteRecords(t.Context(), kadm.Offsets{p.dlq: {0: {Topic: p.dlq, Partition: 0, At: 6}}}); err != nil {
		t.Fatal(err)
	}
	p.wantReplay(t, "4 letters read, 4 put back, 0 left, 0 failed")
}

func TestUnreadableLettersAreNamedAndTheRestIsPutBack(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	if p.kafka.Embedded == nil {
		t.Skip("real brokers refuse a batch that can't be read; the embedded one takes it")
	}
	p.oneDLQ(t)
	letters := p.accepted(4)
	p.kafka.Produce(t, letters[:2]...)
	p.kafka.ProduceRaw(t, p.dlq, 0, brokertest.Batch{Codec: kgo.ZstdCompression(), Payload: []byte("garbage"), Count: 3}.Bytes(t))
	p.kafka.Produce(t, letters[2:]...)

	printed, summary, err := p.replay(t)
	if err != nil || summary != "replay-dlq: 5 letters read, 4 put back, 1 left, 0 failed" || len(printed) != 1 {
		t.Fatalf("%q, %v, %d printed", summary, err, len(printed))
	}
	if l := printed[0]; l.Offset != 2 || l.Reason != "unreadable" || !strings.Contains(l.Error, "offsets 2 to 4 of partition 0") || l.ValueEncoding != "base64" {
		t.Errorf("printed %+v", l)
	}
	if at := p.replayed(t); at != 7 {
		t.Errorf("offset %d, want 7: no later run can read it either", at)
	}
}

// A coordinator that has just moved answers like this for a while.
func TestReplayRetriesRequestsToTheCoordinator(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	if p.kafka.Embedded == nil {
		t.Skip("only the embedded broker can be made to refuse")
	}
	p.oneDLQ(t)
	p.kafka.Produce(t, p.accepted(3)...)
	for _, code := range []int16{kerr.NotCoordinator.Code, kerr.CoordinatorLoadInProgress.Code, kerr.CoordinatorNotAvailable.Code} {
		p.kafka.Embedded.Cluster.ControlKey(int16(kmsg.OffsetFetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
			asked := r.(*kmsg.OffsetFetchRequest)
			answer := asked.ResponseKind().(*kmsg.OffsetFetchResponse)
			answer.ErrorCode = code
			for _, g := range asked.Groups {
				answer.Groups = append(answer.Groups, kmsg.OffsetFetchResponseGroup{Group: g.Group, ErrorCode: code})
			}
			return answer, nil, true
		})
		p.kafka.Embedded.Cluster.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
			asked := r.(*kmsg.OffsetCommitRequest)
			answer := asked.ResponseKind().(*kmsg.OffsetCommitResponse)
			for _, topic := range asked.Topics {
				refused := kmsg.OffsetCommitResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
				for _, partition := range topic.Partitions {
					refused.Partitions = append(refused.Partitions, kmsg.OffsetCommitResponseTopicPartition{Partition: partition.Partition, ErrorCode: code})
				}
				answer.Topics = append(answer.Topics, refused)
			}
			return answer, nil, true
		})
	}
	p.wantReplay(t, "3 letters read, 3 put back, 0 left, 0 failed")
	if at := p.replayed(t); at != 3 {
		t.Errorf("offset %d, want 3", at)
	}
}
