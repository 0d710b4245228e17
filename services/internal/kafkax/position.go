package kafkax

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// Position is a position in one log. A topic that is deleted and created again has
// another log, in which the same offset is another record.
type Position struct {
	// Offset is that of the next record; negative stands for the beginning.
	Offset int64
	// Log is the topic's id (KIP-516), or "" if it is unknown. Then it can't be
	// checked whether the offset belongs to the current log.
	Log string
	// LeaderEpoch is that of the record before, or -1 if it is unknown. It shows
	// whether the log was truncated since.
	LeaderEpoch int32
}

// Beginning is the position of a log that was never read before.
func Beginning() Position { return Position{Offset: -1, LeaderEpoch: -1} }

// Label is committed with the offset, as its metadata: fields such as "log=…
// epoch=…", separated by spaces. There may be others beside them.
func (p Position) Label() string {
	if p.Log == "" {
		return ""
	}
	return fmt.Sprintf("log=%s epoch=%d", p.Log, p.LeaderEpoch)
}

// PositionOf returns the position of an offset that was committed with this metadata.
// Offsets that were set by hand have no metadata, and are used as they are.
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
	for field := range strings.FieldsSeq(*metadata) {
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

// ParseLogID parses what LogID returned.
func ParseLogID(text string) (id [16]byte, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	ok = err == nil && copy(id[:], b) == len(id)
	return id, ok
}

// LogChange says that reading a partition continues at another position. It comes
// before the first record from there.
type LogChange struct {
	Partition int32
	// Kind is one of LogRecreated, LogCutBack and LogExpired.
	Kind string
	// From and To are the positions before and after.
	From, To Position
	// Unread is how many records are known to be lost before they were read, or
	// -1 if that is unknown.
	Unread int64
}

// Kinds of a LogChange.
const (
	LogRecreated = "recreated" // the topic was deleted and created again
	LogCutBack   = "cut_back"  // truncated: a new leader lacked records of the one before
	LogExpired   = "expired"   // records were deleted, by retention or by hand, before they were read
)
