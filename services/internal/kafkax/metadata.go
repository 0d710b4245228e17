package kafkax

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// look fetches metadata: the leaders of the partitions, and the topic's id.
func (r *Reader) look(ctx context.Context) (brokers []int32, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer, err := metadataOf(r.config.Topic).RequestWith(ctx, r.client)
	if err != nil {
		return nil, fmt.Errorf("requesting the metadata of %q: %w", r.config.Topic, err)
	}
	if len(answer.Topics) != 1 {
		return nil, fmt.Errorf("requesting the metadata of %q: the response has %d topics", r.config.Topic, len(answer.Topics))
	}
	topic := answer.Topics[0]
	if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
		r.leaderless(err)
		return nil, fmt.Errorf("requesting the metadata of %q: %w", r.config.Topic, err)
	}
	if r.another(topic.TopicID) {
		if err := Agreed(ctx, r.client, r.config.Topic, topic.TopicID); err != nil {
			r.leaderless(err)
			return nil, fmt.Errorf("requesting the metadata of %q: %w", r.config.Topic, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone[topic.TopicID] {
		return nil, errors.New("a broker with old metadata answers with a former topic id")
	}
	if r.known && topic.TopicID != r.id {
		r.gone[r.id] = true
	}
	r.known, r.id, r.count = true, topic.TopicID, len(topic.Partitions)
	for _, p := range topic.Partitions {
		if p.Leader >= 0 && !slices.Contains(brokers, p.Leader) {
			brokers = append(brokers, p.Leader)
		}
		if known := r.partitions[p.Partition]; known != nil {
			r.meet(known, p)
		}
	}
	r.signal()
	return brokers, nil
}

// another reports whether an id differs from the one in the positions or, if they have
// none, from the last known one. The positions may be of a newer log than a lagging
// broker knows.
func (r *Reader) another(id [16]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	named := false
	for _, p := range r.partitions {
		if p.at.Log != "" && p.at.Log != LogID(id) {
			return true
		}
		named = named || p.at.Log != ""
	}
	return !named && r.known && r.id != id
}

// leaderless keeps an error for partitions whose leader was never known: they can't be
// fetched, so no fetch would report it.
func (r *Reader) leaderless(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.partitions {
		if p.leader < 0 {
			if p.fault == nil {
				p.since = time.Now()
			}
			p.fault = err
		}
	}
}

// meet applies metadata to a partition that is read.
func (r *Reader) meet(p *partition, m kmsg.MetadataResponseTopicPartition) {
	today := LogID(r.id)
	if p.at.Log != "" && today != "" && p.at.Log != today {
		unread := int64(-1)
		if p.end >= 0 {
			unread = max(0, p.end-p.at.Offset)
		}
		p = r.move(p, LogRecreated, Position{Offset: 0, Log: today, LeaderEpoch: -1}, unread)
	}
	p.at.Log = today
	if m.LeaderEpoch != p.leaderEpoch {
		p.checked = p.at.LeaderEpoch < 0 || p.at.Offset < 0
	}
	if m.Leader != p.leader {
		p.replica = -1
	}
	if p.leader < 0 {
		p.fault = nil
	}
	p.leader, p.leaderEpoch = m.Leader, m.LeaderEpoch
}

// move continues reading at another position.
func (r *Reader) move(p *partition, kind string, to Position, unread int64) *partition {
	moved := newPartition(p.number, to)
	moved.leader, moved.leaderEpoch, moved.checked = p.leader, p.leaderEpoch, true
	r.partitions[p.number] = moved
	moved.old, moved.change = p, &LogChange{Partition: p.number, Kind: kind, From: p.at, To: to, Unread: unread}
	r.notify()
	return moved
}

// check compares positions with the log: whether it was truncated below them when
// another leader took over (KIP-320), and, if the broker has nothing at them, where the
// log begins and ends.
func (r *Reader) check(ctx context.Context) error {
	var epochs kadm.OffsetForLeaderEpochRequest
	lost := false
	r.mu.Lock()
	for number, p := range r.partitions {
		if !p.checked && p.leader >= 0 {
			epochs.Add(r.config.Topic, number, p.at.LeaderEpoch)
		}
		lost = lost || p.outOfRange || p.at.Offset < 0
	}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return errors.Join(r.checkEpochs(ctx, epochs), r.checkRange(ctx, lost))
}

func (r *Reader) checkEpochs(ctx context.Context, asked kadm.OffsetForLeaderEpochRequest) error {
	if len(asked) == 0 {
		return nil
	}
	answer, err := r.admin.OffsetForLeaderEpoch(ctx, asked)
	if err != nil {
		return fmt.Errorf("requesting the ends of leader epochs: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var faults []error
	for number, epoch := range asked[r.config.Topic] {
		a, ok := answer[r.config.Topic][number]
		p := r.partitions[number]
		switch {
		case !ok || a.Err != nil:
			faults = append(faults, fmt.Errorf("requesting the end of epoch %d in partition %d: %w", epoch, number, a.Err))
		case p == nil || p.at.LeaderEpoch != epoch:
			// Its position has changed meanwhile: it is checked again.
			r.refresh()
		case a.EndOffset >= 0 && a.EndOffset < p.at.Offset:
			r.move(p, LogCutBack, Position{Offset: a.EndOffset, Log: p.at.Log, LeaderEpoch: a.LeaderEpoch}, 0)
		default:
			p.checked = true
		}
	}
	r.signal()
	return errors.Join(faults...)
}

// checkRange determines where to continue in partitions whose broker has nothing at the
// position.
func (r *Reader) checkRange(ctx context.Context, asked bool) error {
	if !asked {
		return nil
	}
	starts, err := r.admin.ListStartOffsets(ctx, r.config.Topic)
	if err != nil {
		return fmt.Errorf("requesting where the log begins: %w", err)
	}
	ends, err := r.admin.ListEndOffsets(ctx, r.config.Topic)
	if err != nil {
		return fmt.Errorf("requesting where the log ends: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var faults []error
	for number, p := range r.partitions {
		if !p.outOfRange && p.at.Offset >= 0 {
			continue
		}
		start, ok := starts.Lookup(r.config.Topic, number)
		end, too := ends.Lookup(r.config.Topic, number)
		if !ok || !too || start.Err != nil || end.Err != nil {
			faults = append(faults, fmt.Errorf("requesting where partition %d begins and ends: %w", number, errors.Join(start.Err, end.Err)))
			continue
		}
		to := Position{Offset: start.Offset, Log: p.at.Log, LeaderEpoch: -1}
		switch {
		case p.at.Offset < 0:
			p.at.Offset, p.next = start.Offset, -1 // not read before: no record is skipped
		case p.at.Offset < start.Offset:
			r.move(p, LogExpired, to, start.Offset-p.at.Offset)
		case p.at.Offset > end.Offset:
			r.move(p, LogCutBack, to, 0)
		default: // the position is in the log by now
			p.outOfRange, p.next = false, -1
			p.chunks, p.bytes = nil, 0
		}
	}
	r.signal()
	return errors.Join(faults...)
}
