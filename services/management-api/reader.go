package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/retry"
)

// topicReader reads a topic once, up to where each partition ended at the start. The
// commands use it. It joins no group, so that they run beside the service.
type topicReader struct {
	reader *kafkax.Reader
	stop   func()
	client *kgo.Client
	admin  *kadm.Client
	log    *slog.Logger

	topic string
	id    string // of the topic, so that no other log is read
	spans map[int32]*span
	open  map[int32]bool // partitions that are not read to their end yet
}

// span is the range of offsets to read of one partition: [start, end).
type span struct{ start, end int64 }

// openTopic looks the topic up. It fails if the topic does not exist. The caller must
// close the reader.
func openTopic(ctx context.Context, cfg kafkax.Config, topic string, limits kafkax.Limits, clientID string, log *slog.Logger) (*topicReader, error) {
	client, err := cfg.Direct(clientID)
	if err != nil {
		return nil, fmt.Errorf("creating the reader of %q: %w", topic, err)
	}
	reader, err := kafkax.NewReader(cfg, kafkax.ReaderConfig{Topic: topic, Committed: true, Limits: limits}, clientID, log, nil)
	if err != nil {
		client.Close()
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		reader.Run(running)
	}()
	r := &topicReader{
		reader: reader, client: client, admin: kadm.NewClient(client), log: log, topic: topic,
		spans: map[int32]*span{}, open: map[int32]bool{},
		stop: func() { cancel(); <-done },
	}
	if err := r.lookUp(ctx); err != nil {
		r.close()
		return nil, cfg.Explained(ctx, err)
	}
	return r, nil
}

func (r *topicReader) close() {
	r.stop()
	r.client.Close()
}

// questions waits between the attempts of one request.
var questions = retry.Backoff{First: 100 * time.Millisecond, Last: 2 * time.Second}

// ask repeats a request while its error is transient, such as during the election of a
// leader or of a group's coordinator, for kafkax.OnceTimeout.
func (r *topicReader) ask(ctx context.Context, what string, question func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, kafkax.OnceTimeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		err := question(ctx)
		if err == nil {
			return nil
		}
		var known *kerr.Error
		lasting := errors.As(err, &known) && !known.Retriable || errors.Is(err, errNoTopic)
		if wait := questions.After(attempt); lasting || !retry.Sleep(ctx, wait) {
			return fmt.Errorf("%s: %w", what, err)
		}
		r.log.Info("retrying a request to the brokers", "request", what, "error", err)
	}
}

var errNoTopic = errors.New("it does not exist")

// lookUp finds the topic's id, and sets the spans to all that is there.
func (r *topicReader) lookUp(ctx context.Context) error {
	return r.ask(ctx, fmt.Sprintf("looking up topic %q", r.topic), func(ctx context.Context) error {
		topics, err := r.admin.ListTopics(ctx, r.topic)
		if err != nil {
			return err
		}
		detail := topics[r.topic]
		if errors.Is(detail.Err, kerr.UnknownTopicOrPartition) || detail.Err == nil && len(detail.Partitions) == 0 {
			return errNoTopic
		}
		if detail.Err != nil {
			return detail.Err
		}
		starts, err := r.listed(r.admin.ListStartOffsets(ctx, r.topic))
		if err != nil {
			return err
		}
		ends, err := r.ends(ctx)
		if err != nil {
			return err
		}
		for _, p := range detail.Partitions.Numbers() {
			start, ok := starts[p]
			end, too := ends[p]
			if !ok || !too {
				return fmt.Errorf("partition %d has no leader", p)
			}
			r.spans[p] = &span{start, max(start, end)}
		}
		r.id = kafkax.LogID(detail.ID)
		return nil
	})
}

// ends returns where the partitions end. It doesn't wait for open transactions.
func (r *topicReader) ends(ctx context.Context) (map[int32]int64, error) {
	return r.listed(r.admin.ListCommittedOffsets(ctx, r.topic))
}

// listed returns the offsets of a response, or the first error in it.
func (r *topicReader) listed(answer kadm.ListedOffsets, err error) (map[int32]int64, error) {
	if err == nil {
		err = answer.Error()
	}
	if err != nil {
		return nil, err
	}
	offsets := map[int32]int64{}
	for partition, at := range answer[r.topic] {
		offsets[partition] = at.Offset
	}
	return offsets, nil
}

// after leaves out records with timestamps before t.
func (r *topicReader) after(ctx context.Context, t time.Time) error {
	return r.ask(ctx, fmt.Sprintf("looking up %s in %q", t.Format(time.RFC3339), r.topic), func(ctx context.Context) error {
		found, err := r.listed(r.admin.ListOffsetsAfterMilli(ctx, t.UnixMilli(), r.topic))
		for partition, offset := range found {
			if s := r.spans[partition]; s != nil {
				s.start = min(max(s.start, offset), s.end)
			}
		}
		return err
	})
}

// begin starts reading the spans. epochs are the leader epochs of the records before
// them, where they are known.
func (r *topicReader) begin(epochs map[int32]int32) {
	positions := map[int32]kafkax.Position{}
	for partition, s := range r.spans {
		if s.start >= s.end {
			continue
		}
		at := kafkax.Position{Offset: s.start, Log: r.id, LeaderEpoch: -1}
		if epoch, ok := epochs[partition]; ok {
			at.LeaderEpoch = epoch
		}
		positions[partition], r.open[partition] = at, true
	}
	r.reader.Assign(positions)
}

// next returns up to size records as a batch, and an empty one at the end. Records
// that can't be read are refused items of it.
func (r *topicReader) next(ctx context.Context, size int) (*batch, error) {
	b := newBatch()
	for progress := time.Now(); !b.full(size) && len(r.open) > 0; {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("reading %q: %w", r.topic, err)
		}
		before := len(b.items)
		switch e := r.reader.Poll(100 * time.Millisecond).(type) {
		case *kafka.Message:
			if p := e.TopicPartition; r.within(p.Partition, int64(p.Offset)) {
				b.add(e, time.Now())
				r.reached(p.Partition, int64(p.Offset)+1)
			}
		case *kafkax.Unreadable:
			if r.within(e.Partition, e.First) {
				b.addUnreadable(e, time.Now())
				r.reached(e.Partition, e.Last+1)
			}
		case *kafkax.LogChange:
			if err := r.changed(ctx, e); err != nil {
				return nil, err
			}
		case nil: // at the end there may be a transaction marker instead of a record
			for partition, at := range r.reader.Positions() {
				r.reached(partition, at.Offset)
			}
		}
		if len(b.items) > before {
			progress = time.Now()
		}
		if time.Since(progress) > 2*kafkax.OnceTimeout {
			return nil, errors.Join(fmt.Errorf("reading %q: no records from the brokers for %s", r.topic, 2*kafkax.OnceTimeout), r.reader.Probe(ctx))
		}
	}
	return b, nil
}

// within reports whether an offset is to be read; if it isn't, the partition is done.
func (r *topicReader) within(partition int32, offset int64) bool {
	r.reached(partition, offset)
	return r.open[partition]
}

// reached stops reading a partition at its end.
func (r *topicReader) reached(partition int32, offset int64) {
	if r.open[partition] && offset >= r.spans[partition].end {
		delete(r.open, partition)
		r.reader.Remove(partition)
	}
}

// changed continues where a partition's log does, unless it is the log of another topic.
func (r *topicReader) changed(ctx context.Context, change *kafkax.LogChange) error {
	if change.Kind == kafkax.LogRecreated {
		return fmt.Errorf("reading %q: the topic was deleted and created again meanwhile: run the command again", r.topic)
	}
	return r.ask(ctx, fmt.Sprintf("requesting the ends of %q", r.topic), func(ctx context.Context) error {
		ends, err := r.ends(ctx)
		if err != nil {
			return err
		}
		s := r.spans[change.Partition]
		s.start, s.end = min(s.start, change.To.Offset), min(s.end, ends[change.Partition])
		r.reached(change.Partition, change.To.Offset)
		return nil
	})
}
