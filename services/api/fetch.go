package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/retry"
)

// Limits of a fetch, in bytes. The first batch of a response comes whole, whatever its size.
const (
	fetchBytes     = kafkax.OrdinaryBatch // from one broker
	partitionBytes = 256 << 10
	// leastLargest is the size of batches that are read however little a request may read.
	leastLargest = 4 << 20
	// inflated is the most that is decompressed of one batch. It limits time, since
	// skipped records aren't kept.
	inflated = 256 << 20
)

// reading is the progress in one window.
type reading struct {
	window
	at    int64 // the next offset
	want  int32 // bytes to request
	alone bool  // its next batch is fetched alone: with others it came truncated
	large bool  // the last response had a large batch
	left  int64 // how many offsets were left out just before, as part of a batch that is too large
	empty bool  // the last response had no records, though there are more offsets
}

// fetch implements fetcher. It takes batches as they are in the log and decompresses
// them one record at a time: librdkafka decompresses a batch at once, whatever its
// size, and never gets past one that it can't read. It reads only the log that was
// located: if the topic has been recreated since, the error wraps errRecreated.
func (r *reader) fetch(ctx context.Context, topic string, windows []window, each func(record) error) error {
	open := make(map[int32]*reading, len(windows))
	for _, w := range windows {
		open[w.partition] = &reading{window: w, at: w.start, want: partitionBytes}
	}
	d := r.log
	for len(open) > 0 {
		if d.leaders == nil {
			var err error
			if d, err = r.describe(ctx, topic); err != nil {
				return brokerError(ctx, "describing topic "+topic, err)
			}
			if d.id != r.log.id {
				return fmt.Errorf("reading %s: %w", topic, errRecreated)
			}
		}
		err := r.round(ctx, topic, d, open, each)
		if err == nil {
			continue
		}
		if !errors.Is(err, errMoved) {
			return err
		}
		d = described{}
		if !retry.Sleep(ctx, 50*time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}

// round sends one fetch to each leader, all at the same time if there is room for the
// responses, for its partitions that are not finished.
func (r *reader) round(ctx context.Context, topic string, d described, open map[int32]*reading, each func(record) error) error {
	byLeader := map[int32][]*reading{}
	for _, s := range open {
		leader, ok := d.leaders[s.partition]
		if !ok || leader < 0 {
			return errMoved
		}
		if s.alone { // fetch only this one in this round
			byLeader = map[int32][]*reading{leader: {s}}
			break
		}
		byLeader[leader] = append(byLeader[leader], s)
	}
	questions, cancel := context.WithCancel(ctx)
	type response struct {
		*kmsg.FetchResponse
		leave     func()
		stretches []*reading
		err       error
	}
	responses := make(chan response)
	left := len(byLeader)
	defer func() {
		cancel()
		for range left {
			if answer := <-responses; answer.err == nil {
				answer.leave()
			}
		}
	}()
	for leader, stretches := range byLeader {
		request := r.question(topic, d.id, stretches)
		go func() {
			answer, leave, err := r.askFor(questions, topic, leader, request, slices.ContainsFunc(stretches, func(s *reading) bool { return s.large }))
			responses <- response{answer, leave, stretches, err}
		}()
	}
	for left > 0 {
		answer := <-responses
		left--
		if kafkax.TooLarge(answer.err) {
			r.tooLarge(answer.stretches, open)
			continue
		}
		if answer.err != nil {
			return brokerError(ctx, "reading "+topic, answer.err)
		}
		err := r.takeAll(ctx, topic, answer.FetchResponse, open, each)
		answer.leave()
		if err != nil {
			return err
		}
	}
	return nil
}

// takeAll handles a response.
func (r *reader) takeAll(ctx context.Context, topic string, answer *kmsg.FetchResponse, open map[int32]*reading, each func(record) error) error {
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return brokerError(ctx, "reading "+topic, err)
	}
	// A throttled broker's response has no records.
	bytes := int(answer.ThrottleMillis)
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
			s.large = bytes > kafkax.OrdinaryBatch
			if err := r.take(ctx, topic, s, p, bytes == 0, each); err != nil {
				return err
			}
			if s.at >= s.end {
				delete(open, s.partition)
			}
		}
	}
	return nil
}

// tooLarge follows a response with a batch of more than kafkax.LargestBatch. Partitions
// are fetched alone to find out which has it.
func (r *reader) tooLarge(stretches []*reading, open map[int32]*reading) {
	for _, s := range stretches {
		s.alone = true
	}
	if len(stretches) == 1 {
		s := stretches[0]
		last := kafkax.LastToLeaveOut(s.at, s.end, s.left)
		s.left = last + 1 - s.at
		r.leaveOut(s, &kafkax.Unreadable{First: s.at, Last: last, Cause: kafkax.CauseSize})
		if s.at >= s.end {
			delete(open, s.partition)
		}
	}
}

// question builds the fetch for one leader.
func (r *reader) question(topic string, log [16]byte, stretches []*reading) *kmsg.FetchRequest {
	request := kmsg.NewPtrFetchRequest()
	most := int32(max(partitionBytes, min(fetchBytes, r.largest)))
	request.ReplicaID, request.MaxWaitMillis, request.MinBytes, request.MaxBytes = -1, 1, 1, most
	request.SessionEpoch = -1
	if r.isolation == kafka.IsolationLevelReadCommitted {
		request.IsolationLevel = 1
	}
	asked := kmsg.NewFetchRequestTopic()
	asked.Topic, asked.TopicID = topic, log
	for _, s := range stretches {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = s.partition, s.at, s.want
		request.MaxBytes = max(request.MaxBytes, s.want)
		asked.Partitions = append(asked.Partitions, p)
	}
	request.Topics = append(request.Topics, asked)
	return request
}

// take handles the response for one partition.
func (r *reader) take(ctx context.Context, topic string, s *reading, p kmsg.FetchResponseTopicPartition, nothing bool, each func(record) error) error {
	switch err := kerr.ErrorForCode(p.ErrorCode); {
	case err == nil:
	case errors.Is(err, kerr.OffsetOutOfRange):
		return r.restart(ctx, topic, s)
	case moves(err):
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
		switch {
		case s.at >= end:
			return errMoved // a new leader that doesn't know the high watermark yet
		case nothing && s.empty:
			s.at = s.end // compaction removed all records up to the end
		case nothing:
			s.empty = true
		}
		return nil
	}
	s.empty = false
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
	s.want, s.alone, s.left = partitionBytes, false, 0
	return nil
}

// restart continues where the log starts now, if its beginning has been deleted
// since it was located. A fetch response doesn't say where that is.
func (r *reader) restart(ctx context.Context, topic string, s *reading) error {
	start := map[int32]int64{s.partition: earliest}
	d, err := r.describe(ctx, topic)
	if err == nil {
		err = r.listOffsets(ctx, topic, d, start)
	}
	switch {
	case errors.Is(err, errMoved):
		return errMoved
	case err != nil:
		return brokerError(ctx, "reading "+topic, err)
	case start[s.partition] <= s.at:
		return errMoved // a new leader that hasn't caught up to the end yet
	}
	s.at = start[s.partition]
	return nil
}

// records passes on the records of a batch that are in the window.
func (r *reader) records(ctx context.Context, s *reading, batch kafkax.Batch, each func(record) error) error {
	records := batch.Records(kafkax.Limits{Record: r.largest, Batch: inflated})
	defer records.Close()
	records.From(s.at)
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
		found := newRecord(m)
		if found.becomes() > int64(r.largest) {
			r.leaveOut(s, &kafkax.Unreadable{First: offset, Last: offset, Cause: kafkax.CauseSize})
			continue
		}
		s.at = offset + 1
		if err := each(found); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// short handles a truncated batch. It is fetched again alone, as the first of a
// response, which comes whole; a batch too large for that is left out.
func (r *reader) short(s *reading, topic string, data []byte, behind bool) error {
	size := kafkax.SizeOf(data)
	if size > min(kafkax.LargestBatch, max(r.largest, leastLargest)) || s.alone && !behind && int(s.want) >= size {
		u := &kafkax.Unreadable{Topic: topic, Partition: s.partition, First: s.at, Last: s.at, Cause: kafkax.CauseSize}
		if len(data) >= 27 { // the batch's header says which offset is its last
			u.Last = max(s.at, int64(binary.BigEndian.Uint64(data))+int64(int32(binary.BigEndian.Uint32(data[23:]))))
		}
		r.leaveOut(s, u)
		return nil
	}
	s.want, s.alone = int32(max(size, partitionBytes)), true
	return nil
}

// leaveOut continues after an unreadable range, and records the part of it that is in
// the window.
func (r *reader) leaveOut(s *reading, u *kafkax.Unreadable) {
	first, last := max(u.First, s.at), min(u.Last, s.end-1)
	s.at = max(s.at, u.Last+1)
	if first > last {
		return
	}
	for _, m := range r.missing {
		if m.partition == s.partition && m.first <= first && last <= m.last {
			return // recorded already, by a pass that was repeated
		}
	}
	r.missing = append(r.missing, missing{s.partition, first, last, u.Cause})
}

// missing is a range of a partition's offsets that can't be read.
type missing struct {
	partition   int32
	first, last int64
	cause       string // one of kafkax's Cause constants
}

// missingPlaces lists the first ones, each as partition/first-last (cause).
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
