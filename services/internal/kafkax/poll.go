package kafkax

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Poll returns what comes next: a *kafka.Message, whose Metadata is the label of its
// position; an *Unreadable; a *LogChange; or nil if nothing comes within wait. The
// records of a partition come in order.
func (r *Reader) Poll(wait time.Duration) any {
	if e := r.take(); e != nil {
		return e
	}
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		select {
		case <-r.ready:
		case <-timeout.C:
			return nil
		}
		if e := r.take(); e != nil {
			return e
		}
	}
}

// Wait returns once there may be something to poll, at the latest after wait.
func (r *Reader) Wait(wait time.Duration) {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	select {
	case <-r.ready:
	case <-timeout.C:
	}
}

// Release ends the reading of the current batch, whose memory others may be waiting
// for. Nothing may be polled after it.
func (r *Reader) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop()
	r.passTurn()
}

func (r *Reader) take() any {
	for {
		if r.records == nil { // a change is reported between batches, after everything before it
			if change := r.changed(); change != nil {
				return change
			}
			if u := r.open(); u != nil {
				return u
			}
			if r.records == nil {
				if change := r.changed(); change != nil { // the skipped batches may have been the last of the old log
					return change
				}
				return nil
			}
		}
		m, err := r.records.Next()
		if err == nil {
			if int64(m.TopicPartition.Offset) >= r.reading.at.Offset {
				m.TopicPartition.Metadata = r.label
				return m
			}
			continue
		}
		if errors.Is(err, errBusy) {
			return nil // it is tried again with the next poll
		}
		var u *Unreadable
		if !errors.As(err, &u) { // io.EOF
			r.finish(r.last + 1)
			continue
		}
		// Offsets before the position were reported already.
		if u.First = max(u.First, r.reading.at.Offset); u.First <= u.Last {
			u.Label = *r.label
			return u
		}
	}
}

// changed returns the next change of a log, once everything that was fetched of the old
// log has been read.
func (r *Reader) changed() *LogChange {
	r.mu.Lock()
	defer r.mu.Unlock()
	change := r.due()
	if change == nil {
		return nil
	}
	r.changesSeen.WithLabelValues(change.Kind).Inc()
	r.unread.Add(float64(max(0, change.Unread)))
	r.log.Error("reading continues at another position of the log", "topic", r.config.Topic, "partition", change.Partition, "why", change.Kind,
		"from", change.From.Offset, "to", change.To.Offset, "unread_at_least", change.Unread, "log_before", change.From.Log, "log_now", change.To.Log)
	return change
}

func (r *Reader) drop() {
	if r.records != nil {
		r.records.Close()
	}
	r.records, r.reading = nil, nil
}

// finish ends the current batch.
func (r *Reader) finish(next int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reading.pass(next)
	r.drop()
	r.passTurn()
}

// open opens the next batch. It returns an *Unreadable if the batch can't be read.
func (r *Reader) open() any {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		p := r.pick()
		if p == nil {
			return nil
		}
		c := &p.chunks[0]
		if u := c.left; u != nil {
			c.left, u.Label = nil, p.at.Label()
			p.pass(u.Last + 1)
			r.settle(p)
			return u
		}
		batch, rest, err := NextBatch(r.config.Topic, p.number, c.data)
		if errors.Is(err, ErrShortBatch) {
			if u := r.short(p, c.data); u != nil {
				return u
			}
			continue
		}
		r.polled = time.Now()
		p.bytes -= len(c.data) - len(rest)
		c.data = rest
		var u *Unreadable
		if errors.As(err, &u) {
			// The broker returned it for this position, whatever its header says.
			u.First = max(u.First, p.at.Offset)
			u.Last = max(u.Last, u.First)
			u.Label = p.at.Label()
			p.pass(u.Last + 1)
			r.settle(p)
			return u
		}
		p.at.LeaderEpoch = batch.LeaderEpoch
		if batch.Last < p.at.Offset || c.skips(batch, r.config.Committed) {
			p.pass(batch.Last + 1)
			r.settle(p)
			continue
		}
		r.records, r.reading, r.last = batch.Records(r.config.Limits), p, batch.Last
		r.records.From(p.at.Offset)
		r.settle(p)
		label := Position{Log: p.at.Log, LeaderEpoch: batch.LeaderEpoch}.Label()
		r.label = &label
		return nil
	}
}

// settle frees the chunks that were read completely, so that more can be fetched.
func (r *Reader) settle(p *partition) {
	for len(p.chunks) > 0 && len(p.chunks[0].data) == 0 && p.chunks[0].left == nil {
		p.chunks[0] = chunk{} // else its response stays in memory
		p.chunks = p.chunks[1:]
	}
	r.signal()
}

// due returns a change that has nothing left to read before it.
func (r *Reader) due() *LogChange {
	for _, p := range r.partitions {
		for p.old != nil && p.old.old != nil {
			p = p.old
		}
		old := p.old
		if old == nil || len(old.chunks) > 0 || r.reading == old {
			continue
		}
		change := p.change
		if change.Unread > 0 {
			change.Unread = max(0, change.Unread-(old.at.Offset-change.From.Offset))
		}
		change.From = old.at
		p.old, p.change = nil, nil
		return change
	}
	return nil
}

// pick returns the next partition with fetched data, in turn.
func (r *Reader) pick() *partition {
	var filled []*partition
	for _, p := range r.partitions {
		for p.old != nil {
			p = p.old
		}
		if len(p.chunks) > 0 {
			filled = append(filled, p)
		}
	}
	if len(filled) == 0 {
		return nil
	}
	slices.SortFunc(filled, func(a, b *partition) int { return int(a.number - b.number) })
	r.turn++
	return filled[r.turn%len(filled)]
}

// largestFetch bounds the size of a fetch for one large batch, in bytes. No broker
// accepts a larger batch.
const largestFetch = 1 << 30

// short handles an incomplete first batch: it is fetched again, alone and at its
// full size. If it is incomplete then too, it is unreadable.
func (r *Reader) short(p *partition, data []byte) any {
	size := SizeOf(data)
	p.chunks, p.bytes, p.next = nil, 0, -1
	r.signal()
	if !p.alone || int(p.want) < size && size <= largestFetch {
		p.alone, p.want = true, int32(min(max(size, fetchBytes), largestFetch))
		return nil
	}
	u := &Unreadable{
		Topic: r.config.Topic, Partition: p.number, First: p.at.Offset, Last: p.at.Offset, Cause: CauseSize, Raw: data, Label: p.at.Label(),
		Err: fmt.Errorf("the brokers return %d of its %d bytes", len(data), size),
	}
	p.alone, p.want = false, fetchBytes
	p.pass(u.Last + 1)
	return u
}
