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

// Logs with more than consecutive records: holes, aborted records, open transactions, a
// deleted beginning. The expected responses are written out here, since real brokers
// produce such logs in their own ways.

func values(list []message) string {
	var all []string
	for _, m := range list {
		all = append(all, *m.Value)
	}
	return strings.Join(all, " ")
}

// wants compares the values in a response, newest first.
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

// numbered returns records with the values prefix0, prefix1, …
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
	// A real broker compacts only segments that are no longer written to, and starts a
	// new segment for a record that comes later than this.
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
		// This key is written again and again to roll the segments.
		write(t, client, &kgo.Record{Topic: topic, Key: []byte("9"), Value: []byte("9:tick")})
		time.Sleep(600 * time.Millisecond)
	}
	// What the last segments hold of key 9 is up to the broker. Of the other keys the
	// newest record is left, a hundred offsets and many holes back.
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
	// As many as requested, across the holes; compaction may continue meanwhile.
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

	// An open transaction hides itself and everything after it, and delays nobody.
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

	// Once it is committed, everything is there, in the log's order.
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

	// A position from an earlier page may be deleted by the time of the next.
	write(t, client, numbered(topic, "new", 0, 6)...)
	_, first := s.messages(t, "/messages?limit=3&topic="+topic)
	deleteBefore(t, k, topic, 0, 102)
	if a := s.get(t, first.next()); a.status != http.StatusOK || !slices.Equal(a.body[:2], []byte("[{")) {
		t.Errorf("the next page = %d %s", a.status, a.body)
	}
	s.wants(t, first.next(), "new2")
}
