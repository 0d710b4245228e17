package kafkax

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// Position is a place in one log. A topic that is deleted and created again
// has another log, in which the offset would be another record.
type Position struct {
	// Offset is that of the next record; negative stands for the beginning.
	Offset int64
	// Log is the topic's id (KIP-516), "" where it isn't known: then nothing
	// tells whether the offset belongs to the log of today.
	Log string
	// LeaderEpoch is that of the record before, -1 where it isn't known. It
	// tells whether the log was cut back since.
	LeaderEpoch int32
}

// Beginning is where a log is read that was never read before.
func Beginning() Position { return Position{Offset: -1, LeaderEpoch: -1} }

// Label is what is committed beside the offset, as its metadata: fields such
// as "log=… epoch=…", between spaces. Others may stand beside them.
func (p Position) Label() string {
	if p.Log == "" {
		return ""
	}
	return fmt.Sprintf("log=%s epoch=%d", p.Log, p.LeaderEpoch)
}

// PositionOf returns the position of an offset that was committed with this
// metadata. Offsets that somebody set by hand have none, and are taken as they
// are.
func PositionOf(offset int64, metadata *string) Position {
	p := Position{Offset: offset, Log: LabelField(metadata, "log"), LeaderEpoch: -1}
	if epoch, err := strconv.ParseInt(LabelField(metadata, "epoch"), 10, 32); err == nil {
		p.LeaderEpoch = int32(epoch)
	}
	return p
}

// LabelField returns a field of a committed offset's metadata, or "".
func LabelField(metadata *string, name string) string {
	if metadata == nil {
		return ""
	}
	for _, field := range strings.Fields(*metadata) {
		if value, ok := strings.CutPrefix(field, name+"="); ok {
			return value
		}
	}
	return ""
}

// LogID is a topic's id as Kafka's own tools print it; "" for none.
func LogID(id [16]byte) string {
	if id == [16]byte{} {
		return "" // brokers before 2.8 have none
	}
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// ParseLogID reads what LogID has printed.
func ParseLogID(text string) (id [16]byte, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	ok = err == nil && copy(id[:], b) == len(id)
	return id, ok
}

// LogChange says that reading a partition goes on elsewhere than where it
// stood. It comes before the first record from there.
type LogChange struct {
	Partition int32
	// Kind is one of Recreated, CutBack and Expired.
	Kind string
	// From and To are the positions before and after.
	From, To Position
	// Unread is how many records are known to be gone that were not read, or
	// -1 when nothing is known of them.
	Unread int64
}

// Kinds of a LogChange.
const (
	Recreated = "recreated" // the topic was deleted and created again
	CutBack   = "cut_back"  // a leader lacked what an earlier one had
	Expired   = "expired"   // deleted, by retention or by hand, before it was read
)
