package main

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/bson"

	"shopstream/services/internal/event"
	"shopstream/services/internal/kafkax"
)

// idless returns records as the original system writes them, all with the same content.
func (p *platform) idless(n int) []*kgo.Record {
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{Topic: p.topic, Key: fmt.Append(nil, i), Value: []byte(`{"username":"ann","userid":"u1","price":12.5,"timestamp":1764000000.25}`)})
	}
	return records
}

// Their ids derive from their positions, and a position in a recreated topic is a
// different one.
func TestPurchasesWithoutAnIDOfARecreatedTopicAreStored(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	start(t, p.environ())
	p.kafka.Produce(t, p.idless(60)...)
	eventually(t, "those of the first topic are stored", func() bool { return p.storedCount(t) == 60 })
	eventually(t, "the log of before committed", func() bool { return p.committedAtTheEnd(t) })
	p.kafka.RecreateTopic(t, p.topic, 3, nil)
	p.kafka.Produce(t, p.idless(90)...)
	eventually(t, "those of the second are stored too", func() bool { return p.storedCount(t) == 150 })
	eventually(t, "the log of today committed", func() bool { return p.committedAtTheEnd(t) })
	if got := p.storedCount(t); got != 150 {
		t.Errorf("%d are stored, want 150", got)
	}
}

// Earlier versions derived ids without the topic's id. What they have stored is
// recognised when it is read again, and isn't confused with a record at the same position
// in a topic that was recreated since.
func TestPurchasesStoredByAnEarlierVersionAreRecognised(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	records := p.idless(30)
	p.inPartition(t, 0, records...)
	for offset := range int64(20) {
		src := event.Source{Topic: p.topic, Partition: 0, Offset: offset}
		purchase, err := event.DecodePurchase(records[offset].Value, src, defaultCurrency)
		if err != nil {
			t.Fatal(err)
		}
		stored := documentOf(purchase)
		if offset >= 15 { // of a former log
			stored.Timestamp++
		}
		if _, err := p.collection.InsertOne(t.Context(), stored); err != nil {
			t.Fatal(err)
		}
	}
	// It is no purchase, and holds up none.
	foreign := event.IDOf(event.Source{Topic: p.topic, Partition: 0, Offset: 29})
	if _, err := p.collection.InsertOne(t.Context(), bson.D{{Key: "_id", Value: foreign}, {Key: "userid", Value: 7}, {Key: "price", Value: "12.5"}}); err != nil {
		t.Fatal(err)
	}
	s := start(t, p.environ())
	eventually(t, "those that nobody has stored are", func() bool { return p.storedCount(t) >= 36 })
	eventually(t, "all offsets committed", func() bool { return p.committedAtTheEnd(t) })
	if got := p.storedCount(t); got != 36 { // 20 and the foreign one, and 15 of 30
		t.Errorf("%d are stored, want 36", got)
	}
	if got := s.metric(t, "purchases_duplicate_total"); got != 15 {
		t.Errorf("%v are known again, want 15", got)
	}
}

// A dead letter contains its topic's id, so that a corrected record that is put back keeps
// the id of its original position.
func TestALetterKeepsItsTopicsID(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.oneDLQ(t)
	broken := &kgo.Record{Topic: p.topic, Key: []byte("u1"), Value: []byte(`{"username":"ann","userid":"u1","price":"12.5","timestamp":1}`)}
	p.inPartition(t, 0, broken)
	start(t, p.environ())
	eventually(t, "it is refused", func() bool { return len(p.kafka.Read(t, p.dlq)) == 1 })
	id := p.logID(t)
	if got := header(p.kafka.Read(t, p.dlq)[0], "dlq-topic-id"); got != id {
		t.Errorf("dlq-topic-id = %q, want %q", got, id)
	}
	printed, _, err := p.replay(t)
	if err != nil || len(printed) != 1 {
		t.Fatalf("%d letters printed: %v", len(printed), err)
	}
	mended := `{"username":"ann","userid":"u1","price":12.5,"timestamp":1}`
	printed[0].Value = &mended
	p.kafka.RecreateTopic(t, p.topic, 3, nil) // its position now holds another record, or none
	if _, summary, err := p.replay(t, "--mended", writeLines(t, printed[0])); err != nil {
		t.Fatalf("%s: %v", summary, err)
	}
	p.wantIDs(t, []string{event.IDOf(event.Source{Topic: p.topic, TopicID: id, Partition: 0, Offset: 0})})
}

// logID returns the id of the topic of the purchases.
func (p *platform) logID(t *testing.T) string {
	t.Helper()
	topics, err := p.kafka.Admin().ListTopics(t.Context(), p.topic)
	if err != nil {
		t.Fatal(err)
	}
	return kafkax.LogID(topics[p.topic].ID)
}
