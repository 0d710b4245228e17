package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/event"
)

func header(r *kgo.Record, key string) string {
	var found []string
	for _, h := range r.Headers {
		if h.Key == key {
			found = append(found, string(h.Value))
		}
	}
	return strings.Join(found, " AND ") // only one is right
}

func TestPoisonGoesToTheDeadLettersAndBlocksNothing(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	events, records := purchases(t, p.topic, 60)
	known, late, halved := uuid.NewString(), uuid.NewString(), uuid.NewString()
	valid := `"username":"a","userid":"b","price":1,"timestamp":1`
	poison := []struct{ name, value, reason string }{
		{"not JSON", "hello", "decode"},
		{"binary", "\x00\xff\xfe", "decode"},
		{"cut off", `{"username":"a"`, "decode"},
		{"empty", "", "decode"},
		{"null", "null", "decode"},
		{"no price", `{"username":"a","userid":"b","timestamp":1,"eventId":"` + known + `"}`, "invalid"},
		{"negative", `{"username":"a","userid":"b","price":-5,"timestamp":1}`, "invalid"},
		{"of a newer schema", `{` + valid + `,"schemaVersion":2,"eventId":"` + strings.ToUpper(late) + `"}`, "invalid"},
		{"half a surrogate pair", `{"username":"x\ud800","userid":"b","price":1,"timestamp":1,"eventId":"` + halved + `"}`, "decode"},
		{"a name twice", `{"username":"a",` + valid + `}`, "decode"},
		{"a name in capitals", `{"Username":"a",` + valid + `}`, "invalid"},
		{"of no known id", `{` + valid + `,"eventId":"17"}`, "invalid"},
	}
	var mixed []*kgo.Record
	for i, r := range records {
		mixed = append(mixed, r)
		if i < len(poison) {
			mixed = append(mixed, &kgo.Record{
				Topic: p.topic, Key: []byte(poison[i].name), Value: []byte(poison[i].value), Timestamp: time.UnixMilli(1767323045000),
				Headers: []kgo.RecordHeader{{Key: "traceparent", Value: []byte("00-1-2-01")}},
			})
		}
	}
	mixed = append(mixed, &kgo.Record{Topic: p.topic, Key: []byte("tombstone")})
	for _, r := range mixed {
		p.kafka.Produce(t, r) // one by one, so that they are interleaved in the partitions too
	}
	s := start(t, p.environ("BATCH_SIZE=7"))
	p.wantStored(t, events)
	p.wantCommitted(t)

	letters := map[string]*kgo.Record{}
	for _, r := range p.kafka.Read(t, p.dlq) {
		letters[string(r.Key)] = r
	}
	if len(letters) != len(poison)+1 {
		t.Fatalf("%d dead letters, want %d", len(letters), len(poison)+1)
	}
	source := map[string]*kgo.Record{}
	for _, r := range p.kafka.Read(t, p.topic) {
		source[string(r.Key)] = r
	}
	for _, want := range append(poison, struct{ name, value, reason string }{"tombstone", "", "decode"}) {
		got, from := letters[want.name], source[want.name]
		if got == nil {
			t.Errorf("%s: no letter", want.name)
			continue
		}
		if !bytes.Equal(got.Value, from.Value) || (got.Value == nil) != (from.Value == nil) {
			t.Errorf("%s: letter %q, record %q", want.name, got.Value, from.Value)
		}
		if time.Since(got.Timestamp).Abs() > time.Hour { // else retention could delete it at once
			t.Errorf("%s: the letter is of %v, the record of %v", want.name, got.Timestamp, from.Timestamp)
		}
		for key, value := range map[string]string{
			"dlq-reason": want.reason, "dlq-topic": p.topic, "dlq-partition": strconv.Itoa(int(from.Partition)),
			"dlq-offset": strconv.FormatInt(from.Offset, 10), "dlq-group": p.group, "dlq-timestamp": strconv.FormatInt(from.Timestamp.UnixMilli(), 10),
		} {
			if header(got, key) != value {
				t.Errorf("%s: header %s = %q, want %q", want.name, key, header(got, key), value)
			}
		}
		if header(got, "dlq-error") == "" {
			t.Errorf("%s: no dlq-error", want.name)
		}
		if _, err := time.Parse(time.RFC3339Nano, header(got, "dlq-at")); err != nil {
			t.Errorf("%s: dlq-at: %v", want.name, err)
		}
		if want.name != "tombstone" && header(got, "traceparent") != "00-1-2-01" {
			t.Errorf("%s: its own header is lost", want.name)
		}
	}

	for id, reason := range map[string]string{known: "invalid", late: "invalid", halved: "decode"} {
		response, body := s.get(t, "/api/v1/purchases/by-event/"+id)
		if response.StatusCode != http.StatusOK || !strings.Contains(string(body), `"reason":"`+reason+`"`) || !strings.Contains(string(body), `"state":"dead-lettered"`) {
			t.Errorf("%s = %d %s", id, response.StatusCode, body)
		}
	}
	for sample, want := range map[string]float64{
		fmt.Sprintf(`dead_letters_total{reason="decode",topic=%q}`, p.topic):   8,
		fmt.Sprintf(`dead_letters_total{reason="invalid",topic=%q}`, p.topic):  5,
		fmt.Sprintf(`dead_letters_total{reason="rejected",topic=%q}`, p.topic): 0,
		"purchases_stored_total":            60,
		"purchase_end_to_end_seconds_count": 60,
	} {
		if got := s.metric(t, sample); got != want {
			t.Errorf("%s = %v, want %v", sample, got, want)
		}
	}
	for _, sample := range []string{"mongo_batch_size_count", "mongo_batch_duration_seconds_count", fmt.Sprintf(`kafka_produce_duration_seconds_count{topic=%q}`, p.dlq)} {
		if s.metric(t, sample) == 0 {
			t.Errorf("%s is 0", sample)
		}
	}
	_, body := s.get(t, "/metrics")
	for _, name := range []string{"build_info", "http_requests_total", "http_request_duration_seconds", "dependency_up", "mongo_batch_retries_total"} {
		if !bytes.Contains(body, []byte(name)) {
			t.Errorf("/metrics has no %s", name)
		}
	}
}

// Records of the original system have no id: it is derived from their position, so that
// reading them again stores nothing more.
func TestRecordsOfTheOriginalSystem(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	for i := range 20 {
		p.kafka.Produce(t, &kgo.Record{Topic: p.topic, Value: fmt.Appendf(nil, `{"username":"ann","userid":"u1","price":12.5,"timestamp":%d.25}`, 1764000000+i)})
	}
	s := start(t, p.environ())
	p.wantCommitted(t)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if _, err := p.kafka.Admin().DeleteGroups(t.Context(), p.group); err != nil {
		t.Fatal(err)
	}
	s = start(t, p.environ())
	eventually(t, "all came again", func() bool { return s.metric(t, "purchases_duplicate_total") == 20 })
	got := s.list(t, "u1", 100)
	if len(got) != 20 || got[0].PriceMinor != 1250 || got[0].Currency != "USD" || got[0].Timestamp.Seconds() != 1764000019.25 {
		t.Errorf("%d purchases, the first %+v", len(got), got[0])
	}
}

// A letter that its topic can't take must not block the partition.
func TestALetterThatIsTooLargeIsTruncated(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.dlq = p.kafka.Topic(t, "small.dlq", 1, map[string]string{"max.message.bytes": "100000"})
	huge := make([]byte, 300_000)
	for i := range huge {
		huge[i] = byte(rand.Uint32()) // incompressible
	}
	events, records := purchases(t, p.topic, 10)
	_, _, trace := traceparent(0)
	p.kafka.Produce(t, append(records, &kgo.Record{Topic: p.topic, Key: []byte("huge"), Value: huge, Headers: []kgo.RecordHeader{trace, {Key: "other", Value: huge[:50_000]}}})...)
	start(t, p.environ())
	p.wantStored(t, events)
	p.wantCommitted(t)
	letters := p.kafka.Read(t, p.dlq)
	if len(letters) != 1 || header(letters[0], "dlq-truncated") != "300000" || header(letters[0], "dlq-reason") != "decode" || len(letters[0].Value) == 0 || !bytes.HasPrefix(huge, letters[0].Value) {
		t.Errorf("letters = %v", letters)
	}
	if got := header(letters[0], "traceparent"); got != string(trace.Value) {
		t.Errorf("it is of trace %q, want %q", got, trace.Value)
	}
}

// As long as Kafka doesn't take the letter, no offset passes it.
func TestDeadLettersAreAcknowledgedBeforeTheOffset(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.dlq = p.topic + ".elsewhere" // does not exist yet
	events, records := purchases(t, p.topic, 30)
	p.kafka.Produce(t, &kgo.Record{Topic: p.topic, Value: []byte("poison")})
	p.kafka.Produce(t, records...)
	s := start(t, p.environ())
	eventually(t, "the letter tried again", func() bool { return s.metric(t, "mongo_batch_retries_total") > 1 })
	if left := p.uncommitted(t, p.group, p.topic); left == 0 {
		t.Error("the offset passed a poison that is nowhere else")
	}
	p.kafka.CreateTopic(t, p.dlq, 1, nil)
	p.wantStored(t, events)
	p.wantCommitted(t)
	if letters := p.kafka.Read(t, p.dlq); len(letters) != 1 || string(letters[0].Value) != "poison" {
		t.Errorf("letters = %v", letters)
	}
}

func TestAnEmptyValueIsNotJSON(t *testing.T) {
	if _, err := event.DecodePurchase(nil, event.Source{}, "USD"); refusalOf(err).reason != "decode" {
		t.Errorf("an empty value is refused as %q", refusalOf(err).reason)
	}
}
