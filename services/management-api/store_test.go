package main

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestStoresEachPurchaseOnce(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	events, records := purchases(t, p.topic, 500)
	p.kafka.Produce(t, records...)
	p.kafka.Produce(t, again(records[:100])...) // sent twice by a client
	s := start(t, p.environ("BATCH_SIZE=64"))
	p.wantStored(t, events)
	p.wantCommitted(t)
	eventually(t, "the second deliveries counted", func() bool { return s.metric(t, "purchases_duplicate_total") == 100 })
	if got := s.metric(t, "purchases_stored_total"); got != 500 {
		t.Errorf("purchases_stored_total = %v, want 500", got)
	}
	if err := s.stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}

	// The group's offsets are reset to the beginning: everything is delivered again.
	if _, err := p.kafka.Admin().DeleteGroups(t.Context(), p.group); err != nil {
		t.Fatal(err)
	}
	s = start(t, p.environ())
	eventually(t, "all found stored already", func() bool { return s.metric(t, "purchases_duplicate_total") == 600 })
	p.wantCommitted(t)
	p.wantStored(t, events)
	if letters := p.kafka.Read(t, p.dlq); len(letters) > 0 {
		t.Errorf("%d dead letters, want none", len(letters))
	}
	if r, _ := s.get(t, "/-/healthy"); r.StatusCode != http.StatusOK {
		t.Errorf("healthy = %d", r.StatusCode)
	}
}

// A stored purchase stays stored, whatever somebody has made of its user since.
func TestAStoredPurchaseWithoutAUserIsNotRefused(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	events, records := purchases(t, p.topic, 3)
	s := start(t, p.environ())
	p.kafka.Produce(t, records...)
	eventually(t, "they are stored", func() bool { return p.storedCount(t) == 3 })
	for n, change := range []bson.D{
		{{Key: "$set", Value: bson.D{{Key: "userid", Value: 7}}}},
		{{Key: "$set", Value: bson.D{{Key: "userid", Value: nil}}}},
		{{Key: "$unset", Value: bson.D{{Key: "userid", Value: ""}}}},
	} {
		if _, err := p.collection.UpdateByID(t.Context(), events[n].EventID, change); err != nil {
			t.Fatal(err)
		}
	}
	p.kafka.Produce(t, again(records)...)
	eventually(t, "they are known again", func() bool { return s.metric(t, "purchases_duplicate_total") == 3 })
	p.wantCommitted(t)
	if letters := p.kafka.Read(t, p.dlq); len(letters) > 0 {
		t.Errorf("%d dead letters, the first with %v", len(letters), letters[0].Headers)
	}
}

// Two users' purchases with one event id, which a writer of its own can give them, are
// not one: the second is refused, whether it comes in the same batch or later, and the
// state under the id stays that of the first.
func TestAnEventIDOfAnotherUserIsRefused(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.oneDLQ(t)
	events, records := purchases(t, p.topic, 1)
	id := events[0].EventID
	of := func(user string) *kgo.Record {
		r := again(records)[0]
		r.Value = bytes.Replace(r.Value, []byte(`"userid":"`+events[0].UserID+`"`), []byte(`"userid":"`+user+`"`), 1)
		return r // on the same partition, and so after the first
	}
	s := start(t, p.environ("BATCH_LINGER=500ms"))
	p.kafka.Produce(t, records[0], of("bob"))
	s.way(t, id, "stored")
	p.kafka.Produce(t, of("carol"), again(records)[0])
	eventually(t, "both are refused", func() bool { return len(p.kafka.Read(t, p.dlq)) == 2 })
	for _, letter := range p.kafka.Read(t, p.dlq) {
		if header(letter, "dlq-reason") != "invalid" || header(letter, "dlq-error") != "eventId is that of another user's purchase" {
			t.Errorf("a letter with %v", letter.Headers)
		}
	}
	p.wantStored(t, events)
	p.wantCommitted(t)
	if got := s.way(t, id, "stored"); len(got.Way) != 2 {
		t.Errorf("the way is %s", drawn(got.Way))
	}
	if got := s.metric(t, "purchases_duplicate_total"); got != 1 {
		t.Errorf("%v duplicates, want the one of the same user", got)
	}
}
