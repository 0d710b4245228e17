package main

import (
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"shopstream/services/internal/event"
	"shopstream/services/internal/kafkax"
)

// trail is where a purchase was read, and when it was stored. Purchases that an earlier
// version has stored have none.
type trail struct {
	Partition int32   `bson:"partition"`
	Offset    int64   `bson:"offset"`        // -1 if it was read from a copy of the topic
	Log       string  `bson:"log,omitempty"` // the topic's id: the offset is valid in that log only
	StoredAt  float64 `bson:"storedAt"`      // in seconds, as Timestamp
	Trace     string  `bson:"trace,omitempty"`
	// Replayed says that it was a dead letter before.
	Replayed bool `bson:"replayed,omitempty"`
}

// trailOf returns the trail of a message of topic that is stored now.
func trailOf(m *kafka.Message, topic string, now time.Time) trail {
	_, replayed := letterSource(m.Headers)
	t := trail{
		Partition: m.TopicPartition.Partition, Offset: int64(m.TopicPartition.Offset), Log: kafkax.LabelField(m.TopicPartition.Metadata, "log"),
		StoredAt: event.Time{Time: now}.Seconds(), Trace: kafkax.TraceID(m.Headers), Replayed: replayed,
	}
	if *m.TopicPartition.Topic != topic {
		t.Partition, t.Offset, t.Log = -1, -1, ""
	}
	return t
}

// Steps of a purchase's way.
const (
	stepAccepted     = "accepted"      // Kafka has acknowledged it
	stepDeadLettered = "dead-lettered" // refused and set aside
	stepReplayed     = "replayed"      // put back on its topic
	stepStored       = "stored"
)

// step is one step of a purchase's way, with what is known of it.
type step struct {
	Step string    `json:"step"`
	At   time.Time `json:"at,omitzero"`
	// Lag is the time since the step before, in seconds.
	Lag *float64 `json:"lagSeconds,omitempty"`
	*spot
}

// spot is the position of the record of a step.
type spot struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	TopicID   string `json:"topicId,omitempty"`
}

// wayOf returns the steps of a stored purchase, of a refused one, or of one that was
// refused first and stored later.
func wayOf(d *document, l *deadLetter, t topics) []step {
	var way []step
	add := func(name string, at time.Time, place *spot) {
		if at.Year() > 9999 || at.Year() < 0 { // a producer can set any timestamp, and RFC 3339 ends there
			at = time.Time{}
		}
		s := step{Step: name, At: at, spot: place}
		if n := len(way); n > 0 && !at.IsZero() && !way[n-1].At.IsZero() {
			lag := max(0, at.Sub(way[n-1].At).Seconds()) // the clocks of two machines may differ
			s.Lag = &lag
		}
		way = append(way, s)
	}
	if l != nil {
		var accepted, letter *spot
		if !l.AcceptedAt.IsZero() {
			accepted = &spot{t.Purchases, l.Partition, l.Offset, l.Log}
			letter = &spot{t.DeadLetters, l.LetterPartition, l.LetterOffset, ""}
		}
		add(stepAccepted, l.AcceptedAt, accepted)
		add(stepDeadLettered, l.At, letter)
	}
	if d == nil {
		return way
	}
	var read *spot
	if d.Trail.StoredAt > 0 && d.Trail.Offset >= 0 {
		read = &spot{t.Purchases, d.Trail.Partition, d.Trail.Offset, d.Trail.Log}
	}
	if l != nil {
		add(stepReplayed, time.Time{}, read)
	} else {
		add(stepAccepted, event.TimeOf(d.Timestamp).Time, read)
	}
	var stored time.Time
	if d.Trail.StoredAt > 0 {
		stored = event.TimeOf(d.Trail.StoredAt).Time
	}
	add(stepStored, stored, nil)
	return way
}

// eventState is the JSON form of what became of an event.
type eventState struct {
	EventID  string    `json:"eventId"`
	State    string    `json:"state"`
	Purchase *purchase `json:"purchase,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Error    string    `json:"error,omitempty"`
	Way      []step    `json:"way"`
	TraceID  string    `json:"traceId,omitempty"`
}

func storedState(d *document, l *deadLetter, t topics) eventState {
	p := purchaseOf(*d)
	return eventState{EventID: d.ID, State: "stored", Purchase: &p, Way: wayOf(d, l, t), TraceID: d.Trail.Trace}
}

func refusedState(l *deadLetter, t topics) eventState {
	return eventState{EventID: l.ID, State: "dead-lettered", Reason: l.Reason, Error: l.Error, Way: wayOf(nil, l, t), TraceID: l.Trace}
}
