package main

import (
	"bytes"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/testkit/brokertest"
)

// Unreadable batches hide nothing but themselves: a broken checksum, an invalid codec,
// and a small batch that decompresses to a huge one.
func TestUnreadableBatchesAreNamedAndThePageHasTheRest(t *testing.T) {
	k := brokertest.Start(t)
	if k.Embedded == nil {
		t.Skip("a real broker refuses broken batches")
	}
	s := start(t, k.BootstrapServers, "READ_BYTES_LIMIT=5033164", "READ_TIMEOUT=1m")
	bomb := bytes.Repeat([]byte("All work and no play makes Jack a dull boy. "), 150<<20/44)
	garbage := bytes.Repeat([]byte{0xfe, 0x13, 0x77}, 50)
	for name, batch := range map[string][]byte{
		"size":  brokertest.Batch{Codec: kgo.GzipCompression(), Records: brokertest.Values(bomb)}.Bytes(t),
		"codec": brokertest.Batch{Codec: kgo.ZstdCompression(), Payload: garbage, Count: 1}.Bytes(t),
	} {
		topic := k.Topic(t, name, 1, map[string]string{"max.message.bytes": "2000000"})
		write(t, writer(t, k), &kgo.Record{Topic: topic, Value: []byte("before")})
		k.ProduceRaw(t, topic, 0, batch)
		write(t, writer(t, k), &kgo.Record{Topic: topic, Value: []byte("behind")})

		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		list, a := s.messages(t, "/messages?limit=3&topic="+topic)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 48<<20 {
			t.Errorf("%s: reading it allocated %d bytes", name, took)
		}
		if len(list) != 2 || *list[0].Value != "behind" || *list[1].Value != "before" {
			t.Errorf("%s: got %s", name, brief(list))
		}
		if a.header.Get("X-Complete") != "false" || a.header.Get("X-Reason") != reasonUnreadable || a.header.Get("X-Unreadable") != "0/1-1 ("+name+")" {
			t.Errorf("%s: headers %v", name, a.header)
		}
		if a := s.get(t, "/messages?limit=1&topic="+topic); a.status != http.StatusOK || !strings.Contains(string(a.body), "behind") {
			t.Errorf("%s, the last one: %d %s", name, a.status, a.body)
		}
	}
}

// A broker returns a batch whole. One that takes too much memory is refused by its length.
func TestABatchThatIsTooLargeIsNotRead(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers, "READ_TIMEOUT=1m")
	topic := k.Topic(t, "huge", 2, map[string]string{"max.message.bytes": "20000000"})
	client := writer(t, k)
	e := s.follow(t, "/messages/stream?topic="+topic, "")
	write(t, client, &kgo.Record{Topic: topic, Value: []byte("before")})
	e.expect("message", `"before"`)
	part := bytes.Repeat([]byte("x"), 9<<20)
	k.ProduceRaw(t, topic, 0, brokertest.Batch{Records: brokertest.Values(part, part)}.Bytes(t))
	e.expect("unreadable", `{"partition":0,"first":"1","last":"1","cause":"size"}`)
	e.expect("unreadable", `{"partition":0,"first":"2","last":"2","cause":"size"}`)
	write(t, client, &kgo.Record{Topic: topic, Value: []byte("behind")}, &kgo.Record{Topic: topic, Partition: 1, Value: []byte("beside")})

	list, a := s.messages(t, "/messages?limit=4&topic="+topic)
	if len(list) != 3 {
		t.Errorf("got %s", brief(list))
	}
	if a.header.Get("X-Reason") != reasonUnreadable || a.header.Get("X-Unreadable") != "0/1-1 (size), 0/2-2 (size)" {
		t.Errorf("headers %v", a.header)
	}
}

func TestAStreamContinuesAfterUnreadableBatches(t *testing.T) {
	k := brokertest.Start(t)
	if k.Embedded == nil {
		t.Skip("a real broker refuses broken batches")
	}
	s := start(t, k.BootstrapServers, "READ_BYTES_LIMIT=5033164", "READ_TIMEOUT=1m")
	topic := k.Topic(t, "broken", 1, map[string]string{"max.message.bytes": "2000000"})
	bomb := brokertest.Batch{Codec: kgo.GzipCompression(), Records: brokertest.Values(bytes.Repeat([]byte("All work and no play makes Jack a dull boy. "), 150<<20/44))}.Bytes(t)
	garbage := brokertest.Batch{Codec: kgo.ZstdCompression(), Payload: bytes.Repeat([]byte{0xfe, 0x13, 0x77}, 50), Count: 3}.Bytes(t)
	client := writer(t, k)
	e := s.follow(t, "/messages/stream?topic="+topic, "")

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	write(t, client, &kgo.Record{Topic: topic, Value: []byte("first")})
	k.ProduceRaw(t, topic, 0, bomb)
	write(t, client, &kgo.Record{Topic: topic, Value: []byte("between")})
	k.ProduceRaw(t, topic, 0, garbage)
	write(t, client, &kgo.Record{Topic: topic, Value: []byte("last")})

	e.expect("message", `"first"`)
	e.expect("unreadable", `{"partition":0,"first":"1","last":"1","cause":"size"}`)
	behindBomb := e.id
	e.expect("message", `"between"`)
	e.expect("unreadable", `{"partition":0,"first":"3","last":"5","cause":"codec"}`)
	e.expect("message", `"last"`)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 48<<20 {
		t.Errorf("reading it allocated %d bytes", took)
	}
	s.follow(t, "/messages/stream?topic="+topic, behindBomb).expect("message", `"between"`)
}

// What is short in Kafka may be long in JSON.
func TestAStreamLeavesOutWhatIsTooLongInJSON(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers, "READ_BYTES_LIMIT=1000000")
	topic := k.Topic(t, "control", 1, nil)
	client := writer(t, k)
	e := s.follow(t, "/messages/stream?topic="+topic, "")
	write(t, client, &kgo.Record{Topic: topic, Value: bytes.Repeat([]byte{1}, 200_000)})
	write(t, client, &kgo.Record{Topic: topic, Value: bytes.Repeat([]byte{1}, 100_000)})
	write(t, client, &kgo.Record{Topic: topic, Value: []byte("<last> & \u2028")})

	e.expect("unreadable", `{"partition":0,"first":"0","last":"0","cause":"size"}`)
	e.expect("message", strings.Repeat(`\u0001`, 100_000))
	if m := e.next(); m == nil || *m.Value != "<last> & \u2028" {
		t.Errorf("got %+v", m)
	}
}
