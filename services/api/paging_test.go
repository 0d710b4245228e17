package main

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/testkit/brokertest"
)

// longestCursor leaves room for the rest of a Link in the 4 kB that proxies reserve for
// a response's headers.
const longestCursor = 700

// manyPartitions is more than fit in a cursor.
func manyPartitions(k *brokertest.Kafka) int32 {
	if k.Embedded == nil {
		return 300
	}
	return 1000
}

func (a answer) cursor(t testing.TB) string {
	t.Helper()
	link, err := url.Parse(a.next())
	if err != nil {
		t.Fatal(err)
	}
	return link.Query().Get("cursor")
}

// The cursor is small for any number of partitions, and leads through all records once:
// with timestamps in order, roughly in order, or in none.
func TestCursorsOfAThousandPartitions(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	client := writer(t, k, kgo.ProducerLinger(5*time.Millisecond))
	const count = 3000
	partitions := manyPartitions(k)
	for name, stamp := range map[string]func(i int) int{
		"in-order":    func(i int) int { return i / 3 },
		"jitter":      func(i int) int { return i + rand.IntN(300) },
		"reversed":    func(i int) int { return -i },
		"in-no-order": func(int) int { return rand.IntN(1_000_000) },
	} {
		if k.Embedded == nil && name != "jitter" {
			continue // creating so many partitions takes real brokers too long
		}
		t.Run(name, func(t *testing.T) {
			topic := k.Topic(t, name, partitions, nil)
			var records []*kgo.Record
			want := map[string]bool{}
			base := time.Now().Add(-time.Hour)
			for i := range count {
				value := fmt.Sprint(i)
				want[value] = true
				records = append(records, &kgo.Record{
					Topic: topic, Partition: rand.Int32N(partitions), Value: []byte(value),
					Timestamp: base.Add(time.Duration(stamp(i)) * time.Millisecond),
				})
			}
			write(t, client, records...)
			s.check(t, k, topic, 100)

			longest := 0
			path := "/messages?limit=400&topic=" + topic
			for path != "" {
				list, a := s.messages(t, path)
				for _, m := range list {
					if !want[*m.Value] {
						t.Fatalf("message %s comes twice", *m.Value)
					}
					delete(want, *m.Value)
				}
				if path = a.next(); path != "" {
					longest = max(longest, len(a.cursor(t)))
				}
			}
			if len(want) > 0 {
				t.Errorf("%d messages don't come", len(want))
			}
			if longest > longestCursor {
				t.Errorf("a cursor of %d characters", longest)
			}
			t.Logf("the longest cursor has %d characters", longest)
		})
	}
}

// If neither the cursor nor the brokers can tell the position, the service holds it:
// here the first record of each partition has the newest timestamp.
func TestHeldCursors(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	if k.Embedded == nil {
		t.Skip("on real brokers, the test before covers a wide topic")
	}
	const partitions = 1000
	topic := k.Topic(t, "future", partitions, nil)
	client := writer(t, k, kgo.ProducerLinger(5*time.Millisecond))
	var future, present []*kgo.Record
	for p := range int32(partitions) {
		future = append(future, &kgo.Record{Topic: topic, Partition: p, Timestamp: time.Now().Add(time.Hour), Value: fmt.Append(nil, "future ", p)})
		for i := range 2 {
			present = append(present, &kgo.Record{Topic: topic, Partition: p, Value: fmt.Append(nil, p, " ", i)})
		}
	}
	write(t, client, future...)
	write(t, client, present...)
	_, first := s.messages(t, "/messages?limit=1&topic="+topic)
	if n := len(first.cursor(t)); n > longestCursor {
		t.Errorf("a cursor of %d characters", n)
	}
	seen := map[string]bool{}
	for _, m := range s.pages(t, "/messages?limit=1000&topic="+topic) {
		seen[*m.Value] = true
	}
	if len(seen) != 3*partitions {
		t.Errorf("%d messages of %d", len(seen), 3*partitions)
	}
	if a := s.get(t, first.next()); a.status != http.StatusOK {
		t.Errorf("the next page = %d", a.status)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s = start(t, k.BootstrapServers)
	if a := s.get(t, first.next()); a.status != http.StatusGone || !strings.Contains(a.problem(t).Detail, "doesn't hold the cursor's positions") {
		t.Errorf("after a restart = %d %s", a.status, a.body)
	}
}

// Event ids are just as small, and each continues where it belongs.
func TestStreamIDsOfAThousandPartitions(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	const count = 300
	partitions := manyPartitions(k)
	topic := k.Topic(t, "wide", partitions, nil)
	path := "/messages/stream?topic=" + topic
	eventually(t, "leaders for all partitions", func() bool { return s.get(t, "/messages?topic="+topic).status == http.StatusOK })
	e := s.follow(t, path, "")
	ids := []string{e.id}
	var records []*kgo.Record
	for i := range count {
		records = append(records, &kgo.Record{Topic: topic, Partition: int32(i) * 7 % partitions, Value: fmt.Append(nil, i)})
	}
	write(t, writer(t, k, kgo.ProducerLinger(5*time.Millisecond)), records...)
	var order []string
	for range count {
		e.expect("message", "")
		order = append(order, e.data)
		ids = append(ids, e.id)
		if len(e.id) > longestCursor {
			t.Fatalf("an id of %d characters", len(e.id))
		}
	}
	for _, n := range []int{0, 1, count / 2, count - 1} {
		again := s.follow(t, path, ids[n])
		rest := slices.Clone(order[n:])
		for range count - n {
			again.expect("message", "")
			i := slices.Index(rest, again.data)
			if i < 0 {
				t.Fatalf("from id %d on comes %s", n, again.data)
			}
			rest = slices.Delete(rest, i, i+1)
		}
		again.cancel()
	}
	// If the service no longer holds the positions, it says so.
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s = start(t, k.BootstrapServers)
	a := s.get(t, path, "Last-Event-ID", e.id)
	if a.status != http.StatusGone || !strings.Contains(a.problem(t).Detail, "Request without") {
		t.Errorf("after a restart = %d %s", a.status, a.body)
	}
}

// An offset means nothing in another log.
func TestACursorOfARecreatedTopicIsGone(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	for _, partitions := range []int32{2, 300} { // inline and derived
		topic := k.Topic(t, "anew", partitions, nil)
		write(t, writer(t, k), numbered(topic, "old", 1, 5)...)
		_, a := s.messages(t, "/messages?limit=2&topic="+topic)
		k.RecreateTopic(t, topic, partitions, nil)
		write(t, writer(t, k), numbered(topic, "new", 1, 9)...)

		gone := s.get(t, a.next())
		if gone.status != http.StatusGone || !strings.Contains(gone.problem(t).Detail, "deleted and created again") {
			t.Errorf("the next page = %d %s", gone.status, gone.body)
		}
		s.wants(t, "/messages?limit=2&topic="+topic, "new8 new7")
	}
}

// A lagging broker returns the id of the deleted topic.
func TestALaggingBrokerDoesNotInvalidateACursor(t *testing.T) {
	k := brokertest.StartCluster(t, 3)
	if k.Embedded == nil {
		t.Skip("only an embedded broker can be told to lag behind")
	}
	topic := k.Topic(t, "anew", 1, nil)
	k.LedByTheFirst(t, topic)
	known := k.Knowledge(t, topic)
	k.RecreateTopic(t, topic, 1, nil)
	k.LedByTheFirst(t, topic)
	write(t, writer(t, k), numbered(topic, "new", 0, 5)...)
	s := start(t, k.BootstrapServers)
	_, a := s.messages(t, "/messages?limit=2&topic="+topic)

	lagging, release := k.LagBehind(t, known)
	s = start(t, lagging)
	for range 10 { // the requests go to different brokers
		if next := s.get(t, a.next()); next.status != http.StatusOK && next.status != http.StatusServiceUnavailable {
			t.Fatalf("the next page = %d %s", next.status, next.body)
		}
	}
	release()
	eventually(t, "the next page", func() bool { return s.get(t, a.next()).status == http.StatusOK })
}

func TestAStreamResumesInARecreatedTopic(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "anew", 2, nil)
	path := "/messages/stream?topic=" + topic
	e := s.follow(t, path, "")
	write(t, writer(t, k), numbered(topic, "old", 0, 3)...)
	for range 3 {
		e.expect("message", "old")
	}
	e.cancel()
	k.RecreateTopic(t, topic, 2, nil)
	write(t, writer(t, k), numbered(topic, "new", 0, 5)...)
	write(t, writer(t, k), numbered(topic, "more", 1, 2)...)

	again := s.follow(t, path, e.id)
	again.expect("reset", `"cause":"recreated"`)
	between := again.id
	again.expect("reset", `"cause":"recreated"`)
	got := map[string]bool{}
	read := func(e *events) {
		e.expect("message", "")
		got[e.data] = true
	}
	for range 7 {
		read(again)
	}
	if len(got) != 7 || strings.Contains(fmt.Sprint(got), "old") {
		t.Errorf("got %v", got)
	}
	// An id from in between belongs to the new topic, and leads to all of it.
	clear(got)
	resumed := s.follow(t, path, between)
	for range 7 {
		read(resumed)
	}
	if len(got) != 7 {
		t.Errorf("got %v", got)
	}
}

func TestCursorsOfAnotherReleaseAreRefused(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "upgraded", 1, nil)
	old := base64.RawURLEncoding.EncodeToString(append([]byte{1, byte(len(topic))}, topic+"\x01\x00\x01\x00\x05\x00"...))
	for path, header := range map[string][]string{
		"/messages?topic=" + topic + "&cursor=" + old: nil,
		"/messages/stream?topic=" + topic:             {"Last-Event-ID", old},
	} {
		a := s.get(t, path, header...)
		if a.status != http.StatusNotFound || !strings.Contains(asJSON(a.problem(t).Errors), "another release") {
			t.Errorf("%s = %d %s", path, a.status, a.body)
		}
	}
}
