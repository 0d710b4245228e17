package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/kafkax"
)

// Bounds on one question to a broker, in bytes. The first batch of an answer
// comes whole, whatever its size.
const (
	fetchBytes     = 2 << 20
	partitionBytes = 256 << 10
	largestBatch   = 16 << 20
	// inflated is the most that is read through of one batch: it bounds time,
	// since nothing is kept of what is passed over.
	inflated = 256 << 20
)

// reading is a window that is being read.
type reading struct {
	window
	at    int64 // the next offset
	want  int32 // bytes to ask for
	alone bool  // a batch of it didn't come whole beside others
}

// described is a topic as brokers describe it now: its id, and who leads its
// partitions.
type described struct {
	id      [16]byte
	leaders map[int32]int32
}

// fetch implements fetcher. It takes batches as they stand in the log and
// inflates them one record at a time: librdkafka inflates a batch whole,
// whatever that comes to, and never gets past one that it can't read.
func (r *reader) fetch(ctx context.Context, topic string, windows []window, each func(record) error) error {
	open := make(map[int32]*reading, len(windows))
	for _, w := range windows {
		open[w.partition] = &reading{window: w, at: w.start, want: partitionBytes}
	}
	for fresh := false; len(open) > 0; fresh = true {
		d, err := r.describe(ctx, topic, fresh)
		if err != nil {
			return err
		}
		for len(open) > 0 && err == nil {
			err = r.round(ctx, topic, d, open, each)
		}
		if err != nil && !errors.Is(err, errMoved) {
			return err
		}
		if err != nil {
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// errMoved asks for fresh metadata.
var errMoved = errors.New("a leader has moved")

// describe asks for a topic's id and leaders, or takes what is known of them
// since a while: a broker refuses what is no longer so.
func (r *reader) describe(ctx context.Context, topic string, fresh bool) (described, error) {
	request := kmsg.NewPtrMetadataRequest()
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = kmsg.StringPtr(topic)
	request.Topics = append(request.Topics, asked)
	age := 10 * time.Second
	if fresh {
		age = time.Millisecond
	}
	answer, err := r.direct.RequestCachedMetadata(ctx, request, age)
	if err != nil {
		return described{}, brokerError(ctx, "describing topic "+topic, err)
	}
	d := described{leaders: map[int32]int32{}}
	for _, t := range answer.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return described{}, brokerError(ctx, "describing topic "+topic, err)
		}
		d.id = t.TopicID
		for _, p := range t.Partitions {
			d.leaders[p.Partition] = p.Leader
		}
	}
	return d, nil
}

// brokerError tells errors apart as this service does.
func brokerError(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
		err = fmt.Errorf("%w: %w", errUnknownTopic, err)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		err = fmt.Errorf("%w: %w", errForbidden, err)
	default:
		err = fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// round asks each leader once for what is open of its partitions.
func (r *reader) round(ctx context.Context, topic string, d described, open map[int32]*reading, each func(record) error) error {
	byLeader := map[int32][]*reading{}
	for _, s := range open {
		leader, ok := d.leaders[s.partition]
		if !ok || leader < 0 {
			return errMoved
		}
		// What has to come alone takes its leader's turn.
		if list := byLeader[leader]; s.alone {
			byLeader[leader] = []*reading{s}
		} else if len(list) == 0 || !list[0].alone {
			byLeader[leader] = append(list, s)
		}
	}
	for leader, stretches := range byLeader {
		request := kmsg.NewPtrFetchRequest()
		request.ReplicaID, request.MaxWaitMillis, request.MinBytes, request.MaxBytes = -1, 1, 1, fetchBytes
		request.SessionEpoch = -1
		if r.isolation == kafka.IsolationLevelReadCommitted {
			request.IsolationLevel = 1
		}
		asked := kmsg.NewFetchRequestTopic()
		asked.Topic, asked.TopicID = topic, d.id
		for _, s := range stretches {
			p := kmsg.NewFetchRequestTopicPartition()
			p.Partition, p.FetchOffset, p.PartitionMaxBytes = s.partition, s.at, s.want
			request.MaxBytes = max(request.MaxBytes, s.want)
			asked.Partitions = append(asked.Partitions, p)
		}
		request.Topics = append(request.Topics, asked)
		response, err := r.direct.Broker(int(leader)).Request(ctx, request)
		if err != nil {
			return brokerError(ctx, "reading "+topic, err)
		}
		answer := response.(*kmsg.FetchResponse)
		if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
			return brokerError(ctx, "reading "+topic, err)
		}
		bytes := 0
		for _, t := range answer.Topics {
			for _, p := range t.Partitions {
				bytes += len(p.RecordBatches)
			}
		}
		for _, t := range answer.Topics {
			for _, p := range t.Partitions {
				s := open[p.Partition]
				if s == nil {
					continue
				}
				if err := r.take(ctx, topic, s, p, bytes == 0, each); err != nil {
					return err
				}
				if s.at >= s.end {
					delete(open, s.partition)
				}
			}
		}
	}
	return nil
}

// take reads what came of one partition.
func (r *reader) take(ctx context.Context, topic string, s *reading, p kmsg.FetchResponseTopicPartition, nothing bool, each func(record) error) error {
	switch err := kerr.ErrorForCode(p.ErrorCode); {
	case err == nil:
	case errors.Is(err, kerr.OffsetOutOfRange):
		// Deleted since it was asked where the log starts: the oldest left is next.
		if s.at < p.LogStartOffset {
			s.at = p.LogStartOffset
		} else {
			s.at = s.end
		}
		return nil
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID), errors.Is(err, kerr.UnknownTopicOrPartition),
		errors.Is(err, kerr.NotLeaderForPartition), errors.Is(err, kerr.FencedLeaderEpoch), errors.Is(err, kerr.UnknownLeaderEpoch),
		errors.Is(err, kerr.LeaderNotAvailable), errors.Is(err, kerr.ReplicaNotAvailable), errors.Is(err, kerr.KafkaStorageError):
		return errMoved
	default:
		return brokerError(ctx, "reading "+topic, err)
	}
	data := p.RecordBatches
	if len(data) == 0 {
		end := p.HighWatermark
		if r.isolation == kafka.IsolationLevelReadCommitted && p.LastStableOffset >= 0 {
			end = p.LastStableOffset
		}
		if nothing || s.at >= end {
			s.at = s.end // compaction left nothing up to the end
		}
		return nil
	}
	aborted, pending := p.AbortedTransactions, map[int64]bool{}
	for len(data) > 0 && s.at < s.end {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		batch, rest, err := kafkax.NextBatch(topic, s.partition, data)
		var u *kafkax.Unreadable
		switch {
		case errors.Is(err, kafkax.ErrShortBatch):
			return r.short(s, topic, data, len(data) < len(p.RecordBatches))
		case errors.As(err, &u):
			r.leaveOut(s, u)
			if len(rest) == 0 && u.Last < s.at {
				s.at = max(s.at, u.Last+1)
			}
			data = rest
			continue
		case err != nil:
			return fmt.Errorf("reading %s: %w", topic, err)
		}
		data = rest
		for len(aborted) > 0 && aborted[0].FirstOffset <= batch.Last {
			pending[aborted[0].ProducerID] = true
			aborted = aborted[1:]
		}
		switch {
		case batch.Control():
			if batch.Aborts() {
				delete(pending, batch.ProducerID)
			}
		case batch.Last < s.at, batch.Transactional() && pending[batch.ProducerID]:
		default:
			if err := r.records(ctx, s, batch, each); err != nil {
				return err
			}
		}
		s.at = max(s.at, batch.Last+1)
	}
	s.want, s.alone = partitionBytes, false
	return nil
}

// records gives those of a batch that are in the window.
func (r *reader) records(ctx context.Context, s *reading, batch kafkax.Batch, each func(record) error) error {
	records := batch.Records(kafkax.Limits{Record: r.largest, Batch: inflated})
	defer records.Close()
	for ctx.Err() == nil {
		m, err := records.Next()
		var u *kafkax.Unreadable
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &u):
			r.leaveOut(s, u)
			continue
		case err != nil:
			return err
		}
		offset := int64(m.TopicPartition.Offset)
		if offset >= s.end {
			return nil
		}
		if offset < s.at {
			continue
		}
		s.at = offset + 1
		if err := each(newRecord(m)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// short deals with a batch that didn't come whole: as the first of an answer it
// does, and what is too large for that is left out.
func (r *reader) short(s *reading, topic string, data []byte, behind bool) error {
	size := kafkax.SizeOf(data)
	if size > largestBatch || s.alone && !behind && int(s.want) >= size {
		u := &kafkax.Unreadable{Topic: topic, Partition: s.partition, First: s.at, Last: s.at, Cause: kafkax.CauseSize}
		if len(data) >= 27 { // where a batch's header says which offset is its last
			u.Last = max(s.at, int64(binary.BigEndian.Uint64(data))+int64(int32(binary.BigEndian.Uint32(data[23:]))))
		}
		r.leaveOut(s, u)
		return nil
	}
	s.want, s.alone = int32(max(size, partitionBytes)), true
	return nil
}

// leaveOut goes on behind what can't be read, and remembers what of it is in
// the window.
func (r *reader) leaveOut(s *reading, u *kafkax.Unreadable) {
	first, last := max(u.First, s.at), min(u.Last, s.end-1)
	s.at = max(s.at, u.Last+1)
	if first > last {
		return
	}
	for _, m := range r.missing {
		if m.partition == s.partition && m.first <= first && last <= m.last {
			return // a pass that was tried again
		}
	}
	r.missing = append(r.missing, missing{s.partition, first, last, u.Cause})
}

// missing is a stretch of a partition that can't be read.
type missing struct {
	partition   int32
	first, last int64
	cause       string // one of kafkax's causes
}

// missingPlaces names the first of them, as partition/first-last (cause).
func missingPlaces(all []missing) string {
	var places []string
	for i, m := range all {
		if i == 10 {
			places = append(places, fmt.Sprintf("and %d more", len(all)-i))
			break
		}
		places = append(places, fmt.Sprintf("%d/%d-%d (%s)", m.partition, m.first, m.last, m.cause))
	}
	return strings.Join(places, ", ")
}
