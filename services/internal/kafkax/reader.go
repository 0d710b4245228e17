package kafkax

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ReaderConfig sets what a Reader reads.
type ReaderConfig struct {
	Topic string
	// Grouped says that a consumer group assigns the partitions. Only then are there metrics
	// of the lag.
	Grouped bool
	// Committed leaves out records of aborted and of open transactions.
	Committed bool
	Limits    Limits
	// Buffer bounds what is fetched but not polled yet, in bytes over all
	// partitions; 0 stands for 8 MiB. It may be exceeded by one response per broker,
	// which has the same bound or is a single larger batch.
	Buffer int
	// Turn, if not nil, bounds the larger batches too: Readers that share it fetch and
	// read those of more than a MiB one at a time. One of more than LargestBatch is
	// unreadable, and some records after it may be, see LastToLeaveOut.
	Turn Turn
}

// Reader reads partitions of a topic from positions that it is given.
//
// It replaces librdkafka's own reading, which decompresses whole batches without
// any bound, never gets past a batch that it can't read, and continues at an old
// offset in the new log of a recreated topic. The Reader requests a log by its id,
// so that it can't get another one, and decompresses one record at a time within
// bounds.
//
// Run fetches in the background. All other methods belong to one goroutine.
type Reader struct {
	client *kgo.Client
	wide   *kgo.Client // accepts larger responses; nil without Turn
	admin  *kadm.Client
	config ReaderConfig
	rack   string
	log    *slog.Logger

	changesSeen *prometheus.CounterVec
	unread      prometheus.Counter

	// The current batch; only the polling goroutine uses these.
	records *Records
	reading *partition
	last    int64   // the batch's last offset
	label   *string // not shared between batches: messages refer to it
	turn    int

	ready chan struct{} // there may be something to poll

	mu         sync.Mutex
	polled     time.Time // when a batch was last taken up
	partitions map[int32]*partition
	arrived    arrivals
	holds      *partition // whose large batch has the Turn
	id         [16]byte
	known      bool              // whether the topic has been seen
	count      int               // of the topic's partitions
	gone       map[[16]byte]bool // former topic ids; none is ever used again
	wake       chan struct{}     // closed and replaced when more can be fetched
	stale      chan struct{}     // requests fresh metadata
}

// NewReader returns a Reader without partitions. It doesn't wait for the brokers. Its
// metrics are kafka_log_changes_total, kafka_records_unread_total and, if Grouped, those
// of the lag; without a registry it exports none.
func NewReader(cfg Config, rc ReaderConfig, clientID string, log *slog.Logger, reg prometheus.Registerer) (*Reader, error) {
	if rc.Buffer == 0 {
		rc.Buffer = mostBuffered
	}
	client, wide, err := rc.clients(cfg, clientID)
	if err != nil {
		return nil, fmt.Errorf("creating the reader of %q: %w", rc.Topic, err)
	}
	admin := kadm.NewClient(client)
	admin.SetTimeoutMillis(int32(idleWait.Milliseconds())) // with silence it is less than askTimeout: a dead connection is replaced
	metrics := promauto.With(reg)
	r := &Reader{
		client: client, wide: wide, admin: admin, config: rc, rack: cfg.Rack, log: log,
		ready: make(chan struct{}, 1), partitions: map[int32]*partition{}, gone: map[[16]byte]bool{},
		wake: make(chan struct{}), stale: make(chan struct{}, 1),
		changesSeen: metrics.NewCounterVec(prometheus.CounterOpts{
			Name:        "kafka_log_changes_total",
			Help:        "Times that reading a partition could not continue at its position: the topic was recreated, its log was truncated by a new leader, or its records expired unread.",
			ConstLabels: prometheus.Labels{"topic": rc.Topic},
		}, []string{"kind"}),
		unread: metrics.NewCounter(prometheus.CounterOpts{
			Name:        "kafka_records_unread_total",
			Help:        "Records known to be lost before they were read, because the topic was recreated or they expired.",
			ConstLabels: prometheus.Labels{"topic": rc.Topic},
		}),
	}
	for _, kind := range []string{LogRecreated, LogCutBack, LogExpired} {
		r.changesSeen.WithLabelValues(kind) // exists from the start, so that an alert on its increase sees the first change
	}
	if reg != nil && rc.Grouped {
		reg.MustRegister(newLagCollector(r))
	}
	return r, nil
}

// Assign starts reading partitions from these positions. A partition that is
// already being read starts over.
func (r *Reader) Assign(positions map[int32]Position) {
	r.Remove(slices.Collect(maps.Keys(positions))...)
	r.mu.Lock()
	defer r.mu.Unlock()
	for number, at := range positions {
		r.partitions[number] = newPartition(number, at)
	}
	r.refresh()
}

// Remove stops reading partitions and drops what was fetched of them.
func (r *Reader) Remove(partitions ...int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reading != nil && slices.Contains(partitions, r.reading.number) {
		r.drop()
	}
	for _, number := range partitions {
		delete(r.partitions, number)
	}
	r.passTurn()
}

// Done records that all records of a partition before an offset are finished, for
// Lag.
func (r *Reader) Done(number int32, offset int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.partitions[number]; p != nil {
		p.done = offset
	}
}

// Lag returns how many records are not finished, for each partition that is read.
func (r *Reader) Lag() map[int32]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	lag := map[int32]int64{}
	for number, p := range r.partitions {
		if p.end >= 0 {
			lag[number] = max(0, p.end-max(p.done, p.start))
		}
	}
	return lag
}

// partitionCount returns how many partitions the topic has, or 0 before it has been seen.
func (r *Reader) partitionCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

func (r *Reader) arrivalRate(now time.Time) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.arrived.rate(now)
}

// Positions returns the position of each partition that is read, all in one log.
// After a Poll that returned nil, Poll has returned everything before them.
func (r *Reader) Positions() map[int32]Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	positions := map[int32]Position{}
	for number, p := range r.partitions {
		positions[number] = p.at
	}
	return positions
}

// Ends returns where each partition of the topic ends, open transactions included. It
// waits a few seconds at most.
func (r *Reader) Ends(ctx context.Context) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	listed, err := r.admin.ListEndOffsets(ctx, r.config.Topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("requesting the ends of %q: %w", r.config.Topic, err)
	}
	ends := map[int32]int64{}
	for number, end := range listed[r.config.Topic] {
		ends[number] = end.Offset
	}
	return ends, nil
}

// Log returns the topic's id from the latest metadata, or "" before the first.
func (r *Reader) Log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return LogID(r.id)
}

// lastingFault is how long a partition can be unreadable before Probe fails.
const lastingFault = 15 * time.Second

// Probe is a health check. It fails if partitions can't be read for longer than
// lastingFault, and names them.
func (r *Reader) Probe(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var faults []error
	for _, p := range r.partitions {
		if p.fault != nil && time.Since(p.since) > lastingFault {
			faults = append(faults, fmt.Errorf("partition %d of %q can't be read at offset %d: %w", p.number, r.config.Topic, p.next, p.fault))
		}
	}
	return errors.Join(faults...)
}

// signal wakes the fetching goroutines.
func (r *Reader) signal() {
	r.passTurn()
	close(r.wake)
	r.wake = make(chan struct{})
}

// refresh requests fresh metadata soon.
func (r *Reader) refresh() {
	select {
	case r.stale <- struct{}{}:
	default:
	}
}
