package main

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"

	"github.com/google/uuid"
)

// cursor is the position of one purchase in a user's list, newest first by time and then
// id. A page that starts at a position, not at a count, stays right while purchases are
// added.
type cursor struct {
	timestamp float64 // seconds, exactly as stored
	id        string  // a UUID in its canonical form
}

var errBadCursor = errors.New("not a cursor of this service")

// String returns the opaque, URL-safe text that clients pass back.
func (c cursor) String() string {
	id, err := uuid.Parse(c.id)
	if err != nil {
		return "" // no document is stored under another kind of id
	}
	raw := binary.BigEndian.AppendUint64(make([]byte, 0, 24), math.Float64bits(c.timestamp))
	return base64.RawURLEncoding.EncodeToString(append(raw, id[:]...))
}

func parseCursor(text string) (cursor, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != 24 {
		return cursor{}, errBadCursor
	}
	c := cursor{
		timestamp: math.Float64frombits(binary.BigEndian.Uint64(raw)),
		id:        uuid.UUID(raw[8:]).String(),
	}
	if math.IsNaN(c.timestamp) || math.IsInf(c.timestamp, 0) || math.Signbit(c.timestamp) {
		return cursor{}, errBadCursor
	}
	return c, nil
}
