package main

import (
	"context"
	"errors"
	"fmt"

	"shopstream/services/internal/kafkax"
)

// Why a cursor is no longer valid.
var (
	errOtherLog  = errors.New("the cursor belongs to a log that no longer exists")
	errForgotten = errors.New("the cursor's positions are no longer held")
)

// positions returns where the earlier pages ended; without a cursor, the ends of the
// logs.
func (s *server) positions(ctx context.Context, r *reader, sel selection, at *cursor, logs []located) ([]position, error) {
	if at == nil {
		var all []position
		for _, l := range logs {
			all = append(all, position{partition: l.partition, end: l.end})
		}
		return all, nil
	}
	if at.log != r.log.id {
		if err := kafkax.Agreed(ctx, r.pool.direct, sel.topic, r.log.id); err != nil {
			return nil, fmt.Errorf("%w: %w", errRecreated, err) // the cursor's log may be the newer one
		}
		return nil, errOtherLog
	}
	switch at.form {
	case held:
		positions, ok := s.places.get(at.key, at.step)
		if !ok {
			return nil, errForgotten
		}
		return positions, nil
	case derived:
		if !at.last.derivable() {
			return nil, errForgotten
		}
		found, err := r.lookUp(ctx, sel.topic, logs, at.last.lookup)
		return at.derive(logs, found), err
	}
	return at.positions, nil
}

// nextCursor returns the cursor of the next page, in the first form that is small
// enough.
func (s *server) nextCursor(ctx context.Context, r *reader, sel selection, at cursor, tails []*tail, next []position) (string, error) {
	at.form, at.positions = inline, next
	text, fits := at.encode()
	if fits {
		return text, nil
	}
	if at.last.derivable() {
		logs := make([]located, len(tails))
		for i, t := range tails {
			logs[i] = located{t.partition, extent{t.start, t.logEnd}}
		}
		found, err := r.lookUp(ctx, sel.topic, logs, at.last.lookup)
		if err != nil {
			return "", err
		}
		at.form, at.count = derived, int(tails[len(tails)-1].partition)+1
		at.positions = exceptions(at.last, tails, next, found)
		if text, fits = at.encode(); fits {
			return text, nil
		}
	}
	at.form, at.key, at.step = held, s.places.keep(next), 0
	text, _ = at.encode()
	return text, nil
}
