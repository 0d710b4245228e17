package kafkax

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A broker returns the first batch of a response whole, whatever was asked for, and
// nothing says how large it is. So a Reader with a Turn refuses large responses by
// their length, which comes first, and requests the batch again once it has the Turn.

const (
	// LargestBatch is the size of the largest batch, in bytes, that Readers with a Turn
	// read.
	LargestBatch = 16 << 20
	// OrdinaryBatch is the size of a batch that is read without the Turn: brokers and
	// topics with default settings have no larger ones.
	OrdinaryBatch = 1 << 20
	// responseOverhead is what a response contains in addition to batches.
	responseOverhead = 64 << 10
)

// Turn is held by the one of several Readers that may read a large batch.
type Turn chan struct{}

// NewTurn returns a Turn that nobody holds.
func NewTurn() Turn { return make(Turn, 1) }

// TooLarge reports whether a response was refused because of its size.
func TooLarge(err error) bool {
	return err != nil && strings.Contains(err.Error(), "response exceeds BrokerMaxReadBytes") // the library exports no such error
}

// AcceptUpTo lets a client refuse responses with more than the given bytes of batches.
func AcceptUpTo(bytes int) []kgo.Opt {
	most := int32(bytes + responseOverhead)
	return []kgo.Opt{kgo.BrokerMaxReadBytes(most), kgo.FetchMaxBytes(most)} // the second may not be more than the first
}

func (rc ReaderConfig) clients(cfg Config, clientID string) (client, wide *kgo.Client, err error) {
	if rc.Turn == nil {
		client, err = cfg.Direct(clientID)
		return client, nil, err
	}
	if client, err = cfg.Direct(clientID, AcceptUpTo(max(rc.Buffer, fetchBytes)+OrdinaryBatch)...); err != nil {
		return nil, nil, err
	}
	wide, err = cfg.Direct(clientID, AcceptUpTo(LargestBatch)...)
	return client, wide, err
}

// separate lets partitions be fetched one by one, after a response for all of them was
// too large.
func (r *Reader) separate(asked map[*partition]int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range asked {
		p.asked, p.alone = false, true
	}
	r.signal()
}

// fetchLarge fetches one batch in turn. The Turn is passed on when it has been read.
func (r *Reader) fetchLarge(ctx context.Context, broker int32, p *partition, offset int64) {
	select {
	case r.config.Turn <- struct{}{}:
	case <-ctx.Done():
		return
	}
	answer, err := r.fetchBatch(ctx, broker, p, offset)
	if TooLarge(err) {
		err = r.leaveOut(ctx, p, offset)
	}
	if answer != nil || err != nil {
		r.answer(broker, map[*partition]int64{p: offset}, answer, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.holds = p
	if answer != nil && len(p.chunks) > 0 {
		p.chunks[len(p.chunks)-1].large = true
	}
	r.passTurn()
}

func (r *Reader) fetchBatch(ctx context.Context, broker int32, p *partition, offset int64) (*kmsg.FetchResponse, error) {
	// The client learns of the brokers from metadata.
	if _, err := metadataOf(r.config.Topic).RequestWith(ctx, r.wide); err != nil {
		return nil, err
	}
	r.mu.Lock()
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = r.config.Topic, r.id
	ask := kmsg.NewFetchRequestTopicPartition()
	ask.Partition, ask.FetchOffset, ask.CurrentLeaderEpoch, ask.PartitionMaxBytes = p.number, offset, p.leaderEpoch, 1
	topic.Partitions = append(topic.Partitions, ask)
	request := r.request(topic, busyWait, 1)
	r.mu.Unlock()
	return request.RequestWith(ctx, r.wide.Broker(int(broker)))
}

// leaveOut passes over a batch that is too large even for the Turn.
func (r *Reader) leaveOut(ctx context.Context, p *partition, offset int64) error {
	ends, err := r.Ends(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p.asked = false
	if r.partitions[p.number] != p || p.next != offset {
		return nil
	}
	last := LastToLeaveOut(offset, ends[p.number], p.leftOut)
	p.chunks = append(p.chunks, chunk{left: &Unreadable{
		Topic: r.config.Topic, Partition: p.number, First: offset, Last: last, Cause: CauseSize,
		Err: fmt.Errorf("%w: a batch of more than %d bytes", errSize, LargestBatch),
	}})
	p.next, p.alone, p.leftOut = last+1, false, last+1-offset
	r.notify()
	r.signal()
	return nil
}

// LastToLeaveOut returns up to which offset to leave records out, given the offset of a
// batch that was refused, where the log or the reading ends, and how many offsets were left
// out right before. How many records the batch has is only in its header, so it is twice as
// many each time, and half of the way at most: its end is reached after a few steps, with
// no more records behind it than it has itself.
func LastToLeaveOut(offset, end, before int64) int64 {
	return offset + max(1, min(2*before, (end-offset)/2)) - 1
}

// Yield lets others have what they may be waiting for: the Turn, and the room to decompress
// a batch. What is left of the batch is fetched again in its turn. Another goroutine may
// call it while nothing is polled.
func (r *Reader) Yield() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.reading; p != nil && (p == r.holds || r.records.block > 0) && r.refetch(p) {
		p.pass(r.records.next)
		r.drop()
	}
	if r.holds != nil {
		r.refetch(r.holds)
	}
	r.signal()
}

// refetch drops what was fetched of a partition, unless its log has been replaced: it could
// not be fetched again.
func (r *Reader) refetch(p *partition) bool {
	if r.partitions[p.number] != p {
		return false
	}
	p.chunks, p.bytes, p.next = nil, 0, -1
	return true
}

// passTurn passes the Turn on once the batch that it was held for has been read.
func (r *Reader) passTurn() {
	if r.holds == nil || r.reading == r.holds {
		return
	}
	for p := r.partitions[r.holds.number]; p != nil; p = p.old {
		for _, c := range p.chunks {
			if c.large {
				return
			}
		}
	}
	r.holds = nil
	<-r.config.Turn
}

func (r *Reader) close() {
	r.client.Close()
	if r.wide == nil {
		return
	}
	r.wide.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.holds != nil {
		r.holds = nil
		<-r.config.Turn
	}
}
