package main

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/testkit/brokertest"
)

// The limit on bytes applies to the response: a control character becomes six
// characters of JSON.
func TestTheLimitAppliesToTheJSON(t *testing.T) {
	k := brokertest.Start(t)
	const limit = 1_000_000
	s := start(t, k.BootstrapServers, "READ_BYTES_LIMIT=1000000")
	topic := k.Topic(t, "growing", 2, nil)
	client := writer(t, k)
	for i := range 20 {
		write(t, client, &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: bytes.Repeat([]byte{1}, 30_000)})
	}
	list, a := s.messages(t, "/messages?limit=20&topic="+topic)
	if len(a.body) > limit || a.header.Get("X-Reason") != reasonBytes || a.header.Get("X-Complete") != "false" {
		t.Errorf("%d bytes, headers %v", len(a.body), a.header)
	}
	if want := lastOf(k.Read(t, topic), len(list)); brief(list) != brief(want) || len(list) < 4 {
		t.Errorf("got %s\nwant %s", brief(list), brief(want))
	}
	if all := s.pages(t, "/messages?limit=20&topic="+topic); len(all) != 20 {
		t.Errorf("%d records over all pages", len(all))
	}

	// One that is too long on its own is left out as unreadable.
	write(t, client, &kgo.Record{Topic: topic, Value: bytes.Repeat([]byte{1}, 200_000)}, &kgo.Record{Topic: topic, Value: []byte("behind")})
	a = s.get(t, "/messages?limit=2&partition=0&topic="+topic)
	if a.status != http.StatusOK || a.header.Get("X-Unreadable") != "0/10-10 (size)" || !strings.Contains(string(a.body), "behind") {
		t.Errorf("%d %.200s, headers %v", a.status, a.body, a.header)
	}
}
