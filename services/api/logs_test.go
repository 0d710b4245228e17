package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/testkit/brokertest"
)

// What is in a log beside a plain run of records: holes, aborted records,
// undecided ones, a beginning that has moved. The answers are spelled out here;
// real brokers make such logs in their own ways.

func values(list []message) string {
	var all []string
	for _, m := range list {
		all = append(all, *m.Value)
	}
	return strings.Join(all, " ")
}

// wants compares the values of an answer, newest first.
func (s *service) wants(t *testing.T, path, want string) answer {
	t.Helper()
	start := time.Now()
	list, a := s.messages(t, path)
	if got := values(list); got != want {
		t.Errorf("%s:\n got %s\nwant %s", path, got, want)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("%s took %v", path, took)
	}
	return a
}

// numbered makes records with the values prefix0, prefix1, …
func numbered(topic, prefix string, partition int32, count int) []*kgo.Record {
	var records []*kgo.Record
	for i := range count {
		records = append(records, &kgo.Record{Topic: topic, Partition: partition, Value: fmt.Appendf(nil, "%s%d", prefix, i)})
	}
	return records
}

func TestACompactedTopic(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	// A real broker compacts what is not in the segment that is written to, and
	// begins a new segment with a record that comes later than this.
	topic := k.Topic(t, "compacted", 1, map[string]string{
		"cleanup.policy": "compact", "segment.ms": "500", "min.cleanable.dirty.ratio": "0.001", "delete.retention.ms": "0",
	})
	client := writer(t, k)
	keyed := func(round int) []*kgo.Record {
		var records []*kgo.Record
		for key := range 4 {
			records = append(records, &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "%d", key), Value: fmt.Appendf(nil, "%d:%d", key, round)})
		}
		return records
	}
	for round := range 25 {
		write(t, client, keyed(round)...)
	}
	write(t, client, &kgo.Record{Topic: topic, Key: []byte("2"), Value: []byte("2:late")})

	compacted := func() bool {
		if k.Embedded != nil {
			k.Embedded.Cluster.Compact()
		}
		left := slices.DeleteFunc(k.Read(t, topic), func(r *kgo.Record) bool { return string(r.Key) == "9" })
		return len(left) == 4
	}
	for deadline := time.Now().Add(time.Minute); !compacted(); {
		if time.Now().After(deadline) {
			t.Fatal("the log is not compacted")
		}
		// The key that is written on and on rolls the segments.
		write(t, client, &kgo.Record{Topic: topic, Key: []byte("9"), Value: []byte("9:tick")})
		time.Sleep(600 * time.Millisecond)
	}
	// What the last segments hold of key 9 is the broker's affair; of the others
	// the newest is left, a hundred offsets and many holes back.
	var rest []message
	list, a := s.messages(t, "/messages?limit=1000&topic="+topic)
	for _, m := range list {
		if *m.Key != "9" {
			rest = append(rest, m)
		}
	}
	if got, want := values(rest), "2:late 3:24 1:24 0:24"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if a.header.Get("X-Complete") != "true" || a.header.Get("X-Reason") != reasonBeginning {
		t.Errorf("headers %v", a.header)
	}
	// As many as asked for, across the holes; compaction may go on meanwhile.
	limit := len(list) - 1
	if list, a := s.messages(t, fmt.Sprintf("/messages?limit=%d&topic=%s", limit, topic)); len(list) != limit && a.header.Get("X-Reason") != reasonBeginning {
		t.Errorf("%d messages, asked for %d: %v", len(list), limit, a.header)
	}
}

func TestATransactionalTopic(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "transactional", 1, nil)
	transaction(t, k, "commit", numbered(topic, "first", 0, 3)...)
	transaction(t, k, "abort", numbered(topic, "aborted", 0, 50)...)
	transaction(t, k, "commit", numbered(topic, "second", 0, 2)...)

	path := "/messages?topic=" + topic
	decided := "second1 second0 first2 first1 first0"
	a := s.wants(t, path, decided)
	if a.header.Get("X-Reason") != reasonBeginning {
		t.Errorf("headers %v", a.header)
	}
	s.wants(t, path+"&limit=4", "second1 second0 first2 first1")

	// An open transaction hides itself and all behind it, and holds nobody up.
	open := writer(t, k, kgo.TransactionalID(brokertest.Unique("txn")))
	if err := open.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	write(t, open, numbered(topic, "open", 0, 2)...)
	write(t, writer(t, k), numbered(topic, "behind", 0, 2)...)
	if a := s.wants(t, path, decided); a.header.Get("X-Complete") != "true" {
		t.Errorf("headers %v", a.header)
	}
	s.wants(t, path+"&isolation=read_uncommitted&limit=5", "behind1 behind0 open1 open0 second1")

	// Once it is decided all of it is there, in the log's order.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := open.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	awaitMarkers(t, k, numbered(topic, "open", 0, 1))
	eventually(t, "the decided ones", func() bool {
		list, _ := s.messages(t, path)
		return len(list) == 9
	})
	s.wants(t, path, "behind1 behind0 open1 open0 "+decided)
}

func TestATopicWhoseBeginningWasDeleted(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "trimmed", 2, nil)
	client := writer(t, k)
	write(t, client, numbered(topic, "left", 0, 100)...)
	write(t, client, numbered(topic, "right", 1, 50)...)
	deleteBefore(t, k, topic, 0, 97)
	deleteBefore(t, k, topic, 1, 50) // all of it

	if a := s.wants(t, "/messages?limit=1000&topic="+topic, "left99 left98 left97"); a.header.Get("X-Reason") != reasonBeginning || a.next() != "" {
		t.Errorf("headers %v", a.header)
	}
	s.wants(t, "/messages?limit=2&topic="+topic, "left99 left98")
	s.wants(t, "/messages?partition=1&topic="+topic, "")

	// What an earlier page pointed at may be gone when it is asked for.
	write(t, client, numbered(topic, "new", 0, 6)...)
	_, first := s.messages(t, "/messages?limit=3&topic="+topic)
	deleteBefore(t, k, topic, 0, 102)
	if a := s.get(t, first.next()); a.status != http.StatusOK || !slices.Equal(a.body[:2], []byte("[{")) {
		t.Errorf("the next page = %d %s", a.status, a.body)
	}
	s.wants(t, first.next(), "new2")
}
