package kafkax

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// metadataInterval limits how long it takes to notice a new leader, an added
	// partition or a recreated topic if no broker reports it earlier.
	metadataInterval = 5 * time.Second
	// idleWait is how long a broker waits for records before it responds without any.
	idleWait = 500 * time.Millisecond
	// busyWait is the same while other partitions are being read, whose buffers may have
	// room again at any time.
	busyWait = 10 * time.Millisecond
	// gatherWait is how long a broker gathers gatherBytes for a group's next fetch, if the last one had records. Otherwise,
	// under a steady load, a broker answers one fetch for each record or two that it gets: a good part of its work.
	gatherWait  = 25 * time.Millisecond
	gatherBytes = 16 << 10
	// retryWait is the pause after a failed request.
	retryWait = 100 * time.Millisecond
)

// Run fetches until ctx ends, and closes the Reader.
func (r *Reader) Run(ctx context.Context) {
	defer r.close()
	var fetchers sync.WaitGroup
	defer fetchers.Wait()
	serving := map[int32]bool{}
	for ctx.Err() == nil {
		wait := metadataInterval
		brokers, err := r.look(ctx)
		if err == nil {
			err = r.check(ctx)
		}
		if err != nil {
			r.log.Debug("reading metadata", "topic", r.config.Topic, "error", err)
			wait = retryWait
		}
		for _, broker := range brokers {
			if !serving[broker] {
				serving[broker] = true
				fetchers.Go(func() { r.fetch(ctx, broker, &fetchers) })
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		case <-r.stale:
		}
	}
}

// fetch sends one broker fetches, one after the other, for the partitions that it leads. A
// partition that waits for its turn holds up no other.
func (r *Reader) fetch(ctx context.Context, broker int32, fetchers *sync.WaitGroup) {
	gather := false
	for ctx.Err() == nil {
		request, asked, wake := r.question(broker)
		if request == nil {
			select {
			case <-ctx.Done():
			case <-wake:
			case <-time.After(retryWait):
			}
			continue
		}
		if gather && r.config.Grouped {
			request.MinBytes, request.MaxWaitMillis = gatherBytes, min(request.MaxWaitMillis, int32(gatherWait.Milliseconds()))
		}
		answer, err := request.RequestWith(ctx, r.client.Broker(int(broker)))
		gather = err == nil && hasRecords(answer)
		switch {
		case !TooLarge(err) || r.wide == nil:
			r.answer(broker, asked, answer, err)
		case len(asked) > 1:
			r.separate(asked)
		default:
			for p, offset := range asked {
				fetchers.Go(func() { r.fetchLarge(ctx, broker, p, offset) })
			}
		}
	}
}

// question returns the next fetch for a broker, and the offset requested of each
// partition; nil if there is nothing to fetch until wake is closed.
func (r *Reader) question(broker int32) (request *kmsg.FetchRequest, asked map[*partition]int64, wake chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	room := r.config.Buffer
	var mine []*partition
	for _, p := range r.partitions {
		for held := p; held != nil; held = held.old {
			room -= held.bytes
		}
		from := p.leader
		if p.replica >= 0 {
			from = p.replica
		}
		if from == broker && p.checked && !p.outOfRange && !p.asked && p.at.Offset >= 0 && time.Now().After(p.notBefore) {
			mine = append(mine, p)
		}
	}
	if room <= 0 {
		return nil, nil, r.wake
	}
	// Those with the fewest fetched bytes first, so that none waits forever. Before all
	// of them a partition that must be fetched alone: it would never come after others.
	slices.SortFunc(mine, func(a, b *partition) int {
		if a.alone != b.alone {
			if a.alone {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.bytes, b.bytes), cmp.Compare(a.number, b.number))
	})
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = r.config.Topic, r.id
	asked = map[*partition]int64{}
	wait, most := idleWait, room
	busy := time.Since(r.polled) < idleWait
	for _, p := range mine {
		if p.next < 0 && len(p.chunks) == 0 {
			p.next = p.at.Offset
		}
		if p.next < 0 || p.bytes >= fetchBytes || p.bytes > 0 && room < int(p.want) || p.alone && len(asked) > 0 {
			if busy {
				wait = busyWait
			}
			continue
		}
		ask := kmsg.NewFetchRequestTopicPartition()
		ask.Partition, ask.FetchOffset, ask.CurrentLeaderEpoch, ask.PartitionMaxBytes = p.number, p.next, p.leaderEpoch, p.want
		topic.Partitions = append(topic.Partitions, ask)
		asked[p], p.asked = p.next, true
		room -= int(p.want)
		most = max(most, int(p.want))
		if p.alone {
			wait = busyWait // there may be more for the others
			break
		}
	}
	if len(asked) == 0 {
		return nil, nil, r.wake
	}
	return r.request(topic, wait, most), asked, nil
}

func (r *Reader) request(topic kmsg.FetchRequestTopic, wait time.Duration, most int) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.MaxWaitMillis, q.MinBytes, q.MaxBytes = int32(wait.Milliseconds()), 1, int32(most)
	q.SessionEpoch = -1 // no session: each fetch is complete in itself
	q.Rack = r.rack
	if r.config.Committed {
		q.IsolationLevel = 1
	}
	q.Topics = append(q.Topics, topic)
	return q
}

// answer applies a broker's response.
func (r *Reader) answer(broker int32, asked map[*partition]int64, answer *kmsg.FetchResponse, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	found := map[int32]kmsg.FetchResponseTopicPartition{}
	if err == nil && len(answer.Topics) > 0 {
		for _, p := range answer.Topics[0].Partitions {
			found[p.Partition] = p
		}
	}
	for p, offset := range asked {
		p.asked = false
		if r.partitions[p.number] != p || p.next != offset {
			continue // it was moved or removed meanwhile
		}
		a, ok := found[p.number]
		switch {
		case err != nil:
			r.failed(p, broker, err)
		case !ok:
			r.failed(p, broker, errors.New("it is missing from the response"))
		case a.ErrorCode != 0:
			r.failed(p, broker, kerr.ErrorForCode(a.ErrorCode))
		default:
			r.fill(p, a)
		}
	}
	r.signal()
}

func hasRecords(answer *kmsg.FetchResponse) bool {
	return slices.ContainsFunc(answer.Topics, func(t kmsg.FetchResponseTopic) bool {
		return slices.ContainsFunc(t.Partitions, func(p kmsg.FetchResponseTopicPartition) bool { return len(p.RecordBatches) > 0 })
	})
}

func (r *Reader) failed(p *partition, broker int32, err error) {
	if p.fault == nil {
		p.since = time.Now()
	}
	p.fault, p.notBefore = err, time.Now().Add(retryWait)
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange) && p.leader != broker:
		p.replica = -1 // a follower that lags behind can't tell what is in the log
	case errors.Is(err, kerr.OffsetOutOfRange):
		p.outOfRange = true
	case p.replica == broker:
		p.replica = -1
	}
	r.refresh()
}

func (r *Reader) fill(p *partition, a kmsg.FetchResponseTopicPartition) {
	p.fault = nil
	if a.PreferredReadReplica >= 0 {
		p.replica = a.PreferredReadReplica
	}
	end := a.HighWatermark
	if r.config.Committed {
		end = a.LastStableOffset
	}
	if p.end >= 0 && end > p.end { // else it has not been known before
		r.arrived.add(end-p.end, time.Now())
	}
	p.start, p.end = a.LogStartOffset, end
	if len(a.RecordBatches) == 0 {
		p.alone = false
		return
	}
	whole, behind := walk(a.RecordBatches, p.next)
	c := chunk{data: a.RecordBatches[:whole], pending: map[int64]bool{}}
	switch {
	case whole == 0 && len(p.chunks) > 0:
		p.next = -1 // its first batch is truncated: fetch again once everything before it has been read
		return
	case whole == 0:
		c.data = a.RecordBatches
	default:
		p.alone, p.want, p.leftOut = false, fetchBytes, 0
	}
	p.next = behind
	for _, t := range a.AbortedTransactions {
		c.aborted = append(c.aborted, abortedTransaction{t.ProducerID, t.FirstOffset})
	}
	slices.SortFunc(c.aborted, func(a, b abortedTransaction) int { return cmp.Compare(a.first, b.first) })
	p.chunks, p.bytes = append(p.chunks, c), p.bytes+len(c.data)
	r.notify()
}

// notify reports that there is something to poll.
func (r *Reader) notify() {
	select {
	case r.ready <- struct{}{}:
	default:
	}
}
