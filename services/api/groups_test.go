package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/gin-gonic/gin"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/testkit/brokertest"
)

func TestTopics(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	open := start(t, k.BootstrapServers, "ALLOW_INTERNAL_TOPICS=true")
	topic, internal := k.Topic(t, "listed", 3, nil), k.Topic(t, "__listed", 1, nil)
	client := writer(t, k)
	for range 4 {
		write(t, client, &kgo.Record{Topic: topic, Partition: 1}, &kgo.Record{Topic: topic, Partition: 2})
	}
	deleteBefore(t, k, topic, 2, 3)

	find := func(s *service, name string) *topicAnswer {
		var list []topicAnswer
		if err := json.Unmarshal(s.get(t, "/topics").body, &list); err != nil {
			t.Fatal(err)
		}
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
		return nil
	}
	got := find(s, topic)
	if got == nil || got.Internal || got.Messages != 5 || len(got.Partitions) != 3 {
		t.Fatalf("got %+v", got)
	}
	for i, want := range [][3]int64{{0, 0, 0}, {0, 4, 4}, {3, 4, 1}} {
		p := got.Partitions[i]
		if p.Partition != int32(i) || p.Leader < 0 || [3]int64{p.Low, p.High, p.Messages} != want {
			t.Errorf("partition %d: %+v, want low, high, messages %v", i, p, want)
		}
	}
	if find(s, internal) != nil {
		t.Error("an internal topic is shown")
	}
	if got := find(open, internal); got == nil || !got.Internal {
		t.Errorf("with ALLOW_INTERNAL_TOPICS: %+v", got)
	}
	if a := open.get(t, "/messages?topic="+internal); a.status != 200 {
		t.Errorf("with ALLOW_INTERNAL_TOPICS: %d", a.status)
	}
}

type topicAnswer struct {
	Name       string
	Internal   bool
	Messages   int64
	Partitions []topicPartition
}

// The listings of a large cluster are long, too: clients that are slow to receive them
// must not fill the memory.
func TestListingsNeedRoom(t *testing.T) {
	k := brokertest.Start(t)
	k.Topic(t, "listed", 1, nil)
	srv := newTestServer(t, k.BootstrapServers, "READ_TIMEOUT=1s")
	engine := gin.New()
	engine.GET("/topics", srv.topics)
	web := httptest.NewServer(engine)
	defer web.Close()
	s := &service{url: web.URL}
	everything := srv.cfg.answerBytes()
	if !srv.answers.TryAcquire(everything) {
		t.Fatal("the room isn't empty")
	}
	if a := s.get(t, "/topics"); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("without room: %d %s", a.status, a.body)
	}
	srv.answers.Release(everything)
	if a := s.get(t, "/topics"); a.status != http.StatusOK {
		t.Errorf("with room: %d %s", a.status, a.body)
	}
	eventually(t, "the room to be empty again", func() bool { return srv.answers.TryAcquire(everything) })
}

func TestGroupsShowMembersAndLag(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "grouped", 2, nil)
	client := writer(t, k)
	for i := range 10 {
		write(t, client, &kgo.Record{Topic: topic, Partition: 0, Value: fmt.Appendf(nil, "%d", i)})
	}
	name := brokertest.Unique("readers")
	member, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(k.BootstrapServers, ",")...), kgo.ConsumerGroup(name), kgo.ConsumeTopics(topic), kgo.ClientID("reader-0"),
		kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var sixth *kgo.Record
	for n := 0; n < 10; {
		fetches := member.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if n++; n == 6 {
				sixth = r
			}
		})
	}
	if err := member.CommitRecords(ctx, sixth); err != nil {
		t.Fatal(err)
	}

	find := func() *group {
		var list []group
		if a := s.get(t, "/groups"); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		} else if err := json.Unmarshal(a.body, &list); err != nil {
			t.Fatal(err)
		}
		for i := range list {
			if list[i].Group == "api" {
				t.Error("the service created a group")
			}
			if list[i].Group == name {
				return &list[i]
			}
		}
		return nil
	}
	got := find()
	if got == nil || got.State != "Stable" || got.Protocol != "classic" || got.Members != 1 || got.Lag != 4 || len(got.Partitions) != 2 {
		t.Fatalf("got %+v", got)
	}
	if p := got.Partitions[0]; p.Topic != topic || *p.Committed != 6 || *p.End != 10 || *p.Lag != 4 {
		t.Errorf("partition 0: %s", asJSON(p))
	}
	if p := got.Partitions[1]; p.Committed != nil || *p.End != 0 || p.Lag != nil {
		t.Errorf("partition 1, where nothing is committed: %s", asJSON(p))
	}

	if len(got.Consumers) != 1 {
		t.Fatalf("consumers: %s", asJSON(got.Consumers))
	}
	if m := got.Consumers[0]; m.ClientID != "reader-0" || m.ID == "" || m.Host == "" || strings.HasPrefix(m.Host, "/") || m.Lag != 4 ||
		len(m.Partitions) != 2 || m.Partitions[0].Topic != topic || *m.Partitions[0].Lag != 4 || m.Partitions[1].Lag != nil {
		t.Errorf("the member: %s", asJSON(m))
	}

	member.Close()
	if got := find(); got == nil || got.State != "Empty" || got.Members != 0 || len(got.Consumers) != 0 || got.Lag != 4 {
		t.Errorf("without members: %+v", got)
	}
	// Committed offsets of a deleted topic are not an error.
	if _, err := k.Admin().DeleteTopics(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	if got := find(); got != nil && (got.Lag != 0 || len(got.Partitions) > 0 && got.Partitions[0].End != nil) {
		t.Errorf("with its topic deleted: %s", asJSON(got))
	}
}

func TestGroupsShowTheirProtocol(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "shared", 2, nil)
	name := brokertest.Unique("members")
	// The client of the services: kgo's own support of the protocol is off by default.
	member, err := kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": k.BootstrapServers, "group.id": name, "group.protocol": "consumer", "client.id": "member-0"})
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	if err := member.Subscribe(topic, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		member.Poll(100)
		var groups []group
		a := s.get(t, "/groups")
		if err := json.Unmarshal(a.body, &groups); err != nil {
			t.Fatalf("%d %s: %v", a.status, a.body, err)
		}
		for _, g := range groups {
			if g.Group == name && g.Protocol == "consumer" && len(g.Consumers) == 1 && g.Consumers[0].ClientID == "member-0" && len(g.Consumers[0].Partitions) == 2 {
				for n, p := range g.Consumers[0].Partitions {
					if p.Topic != topic || p.Partition != int32(n) || len(g.Partitions) != 2 || g.Partitions[n].Topic != topic {
						t.Errorf("the group has %+v, its member %+v", g.Partitions, g.Consumers[0].Partitions)
					}
				}
				return
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("the group, its protocol and its member are not shown: %s", a.body)
		}
	}
}

// Brokers that are restarted one after the other first leave requests without an answer,
// then close their connections. That costs some requests for groups their answer, and
// never the process its life.
func TestGroupsWhileCoordinatorsRestart(t *testing.T) {
	k := brokertest.StartCluster(t, 3)
	if k.Embedded == nil {
		t.Skip("fails the embedded brokers' requests")
	}
	const groups = 24 // so that each broker coordinates some
	topic := k.Topic(t, "grouped", 1, nil)
	write(t, writer(t, k), &kgo.Record{Topic: topic}, &kgo.Record{Topic: topic}, &kgo.Record{Topic: topic})
	for i := range groups {
		offsets := kadm.Offsets{}
		offsets.AddOffset(topic, 0, 1, -1)
		if err := k.Admin().CommitAllOffsets(t.Context(), fmt.Sprintf("group-%02d", i), offsets); err != nil {
			t.Fatal(err)
		}
	}
	s := startProcess(t, k.BootstrapServers, "READ_CONCURRENCY=16")

	const nobody = -1
	var silent, gone atomic.Int32
	silent.Store(nobody)
	gone.Store(nobody)
	k.Embedded.Cluster.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		k.Embedded.Cluster.KeepControl()
		switch k.Embedded.Cluster.CurrentNode() {
		case silent.Load():
			return nil, nil, true // no answer
		case gone.Load():
			return nil, errors.New("the broker is down"), true
		}
		return nil, nil, false
	})
	var wg sync.WaitGroup
	var asking atomic.Int32
	var answered, refused atomic.Int64
	for range 16 {
		asking.Add(1)
		wg.Go(func() {
			defer asking.Add(-1)
			for range 25 {
				start := time.Now()
				switch a := s.get(t, "/groups"); a.status {
				case http.StatusOK:
					answered.Add(1)
				case http.StatusServiceUnavailable:
					refused.Add(1)
				default:
					t.Errorf("/groups = %d %s", a.status, a.body)
				}
				if took := time.Since(start); took > 10*time.Second {
					t.Errorf("/groups took %s", took)
				}
			}
		})
	}
	for node := int32(0); asking.Load() > 0; node = (node + 1) % 3 {
		for _, phase := range []struct{ silent, gone int32 }{{node, nobody}, {nobody, node}, {nobody, nobody}} {
			silent.Store(phase.silent)
			gone.Store(phase.gone)
			time.Sleep(800 * time.Millisecond)
		}
	}
	wg.Wait()
	silent.Store(nobody)
	gone.Store(nobody)
	t.Logf("%d requests answered, %d refused", answered.Load(), refused.Load())

	eventually(t, "the groups to be listed", func() bool {
		var list []group
		a := s.get(t, "/groups")
		if a.status != http.StatusOK || json.Unmarshal(a.body, &list) != nil || len(list) != groups {
			return false
		}
		return !slices.ContainsFunc(list, func(g group) bool { return g.Lag != 2 })
	})
}

// A caller that leaves makes room for the next one, but what it asked Kafka goes on.
func TestQuestionsOfCallersThatHaveLeftAreLimited(t *testing.T) {
	s := newTestServer(t, brokertest.Start(t).BootstrapServers)
	release := make(chan struct{})
	var asked atomic.Int32
	for range 2 * mostQuestions {
		ctx, leave := context.WithTimeout(t.Context(), 5*time.Millisecond)
		err := s.cluster.ask(ctx, "waiting", func(context.Context) error { asked.Add(1); <-release; return nil })
		if leave(); !errors.Is(err, errUnavailable) {
			t.Fatalf("without an answer: %v", err)
		}
	}
	// One may be the health check's.
	eventually(t, "the questions", func() bool { return asked.Load() >= mostQuestions-1 })
	if n := asked.Load(); n > mostQuestions {
		t.Errorf("%d questions are under way, want %d at most", n, mostQuestions)
	}
	close(release)
	eventually(t, "an answer", func() bool { return s.cluster.reachable(t.Context()) == nil })
}
