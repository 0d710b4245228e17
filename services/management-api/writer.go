package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"shopstream/services/internal/event"
	"shopstream/services/internal/kafkax"
	"shopstream/services/internal/trace"
)

// insertTimeout bounds one insert, after which a silent connection is given up. Polling
// continues meanwhile.
const insertTimeout = 30 * time.Second

// writer makes a batch safe: it stores the purchases in the database, and sends the
// rest to the dead letters.
type writer struct {
	store    *store
	producer *kafkax.Producer
	topic    string // label of the metric
	dlqTopic string
	group    string
	log      *slog.Logger

	endToEnd   prometheus.Histogram
	stored     prometheus.Counter
	duplicates prometheus.Counter
	batchSize  prometheus.Histogram
	batchTime  prometheus.Histogram
	letters    *prometheus.CounterVec
}

func newWriter(cfg config, s *store, producer *kafkax.Producer, log *slog.Logger, reg prometheus.Registerer) *writer {
	metrics := promauto.With(reg)
	w := &writer{
		store: s, producer: producer, topic: cfg.Topics.Purchases, dlqTopic: cfg.Topics.DeadLetters, group: cfg.GroupID, log: log,
		endToEnd: metrics.NewHistogram(prometheus.HistogramOpts{
			Name:    "purchase_end_to_end_seconds",
			Help:    "Time from buying to being stored.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2, 5, 10, 30, 60, 300, 1800},
		}),
		stored: metrics.NewCounter(prometheus.CounterOpts{
			Name: "purchases_stored_total",
			Help: "Purchases stored.",
		}),
		duplicates: metrics.NewCounter(prometheus.CounterOpts{
			Name: "purchases_duplicate_total",
			Help: "Purchases delivered again and found stored already; after a write whose answer was lost, the first delivery counts here too.",
		}),
		batchSize: metrics.NewHistogram(prometheus.HistogramOpts{
			Name:    "mongo_batch_size",
			Help:    "Purchases in one insert.",
			Buckets: []float64{1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000},
		}),
		batchTime: metrics.NewHistogram(prometheus.HistogramOpts{
			Name:    "mongo_batch_duration_seconds",
			Help:    "Time of one insert, answered or not.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		letters: metrics.NewCounterVec(prometheus.CounterOpts{
			Name: "dead_letters_total",
			Help: "Messages of the topic that were refused and are acknowledged in the dead letters.",
		}, []string{"topic", "reason"}),
	}
	for _, reason := range []string{reasonDecode, reasonInvalid, reasonRejected, reasonUnreadable} {
		w.letters.WithLabelValues(w.topic, reason) // exists from the start, so that an alert on its increase sees the first refusal
	}
	return w
}

// write processes the items as far as possible and marks those that are done. An error
// is transient: the rest must be retried.
func (w *writer) write(ctx context.Context, items []*item) error {
	for _, i := range items {
		decode(i)
	}
	// The dead letters come after the insert, which may add some, and also if it
	// failed, because they don't need the database.
	return errors.Join(w.insert(ctx, items), w.bury(ctx, items))
}

func decode(i *item) {
	if i.decoded {
		return
	}
	i.decoded = true
	p, err := event.DecodePurchase(i.message.Value, sourceOf(i.message), defaultCurrency)
	if err != nil {
		i.refusal = refusalOf(err)
		return
	}
	i.purchase = p
}

// recognise marks purchases without an event id that an earlier version has stored.
// That version derived ids without the topic's id, so that records of a recreated
// topic got the ids of earlier ones. A document with such an id counts as the
// purchase only if every field is equal.
func (w *writer) recognise(ctx context.Context, items []*item) error {
	var ids []string
	byID := map[string][]*item{}
	for _, i := range items {
		if i.done || i.refusal != nil || !event.IsDerived(i.purchase.EventID) {
			continue
		}
		src := sourceOf(i.message)
		if src.TopicID == "" || i.purchase.EventID != event.IDOf(src) {
			continue
		}
		id := event.IDOf(src.WithoutTopicID())
		ids, byID[id] = append(ids, id), append(byID[id], i)
	}
	if len(ids) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	stored, err := w.store.find(ctx, ids)
	if err != nil {
		return err
	}
	for _, known := range stored {
		for _, i := range byID[known.ID] {
			mine := documentOf(i.purchase)
			mine.Trail = known.Trail // it may have been read elsewhere
			if mine.ID = known.ID; mine == known {
				i.done = true
				w.duplicates.Inc()
			}
		}
	}
	return nil
}

// insert stores the purchases among the items in one command.
func (w *writer) insert(ctx context.Context, items []*item) error {
	if err := w.recognise(ctx, items); err != nil {
		return err
	}
	begun := time.Now()
	chosen, documents := make([]*item, 0, len(items)), make([]document, 0, len(items))
	byID := make(map[string]*item, len(items))
	for _, i := range items {
		if i.done || i.refusal != nil {
			continue
		}
		if first := byID[i.purchase.EventID]; first != nil {
			first.same = append(first.same, i)
			continue
		}
		i.same = nil // from the attempt before
		byID[i.purchase.EventID] = i
		d := documentOf(i.purchase)
		d.Trail = trailOf(i.message, w.topic, begun)
		chosen, documents = append(chosen, i), append(documents, d)
	}
	if len(documents) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	start := time.Now()
	outcomes, err := w.store.insert(ctx, documents)
	now := time.Now()
	w.batchSize.Observe(float64(len(documents)))
	trace.Observe(ctx, w.batchTime, now.Sub(start).Seconds())

	owners, lookupErr := w.owners(ctx, chosen, outcomes)
	for n, o := range outcomes {
		i := chosen[n]
		owner := i.purchase.UserID
		switch {
		case o.duplicate && lookupErr != nil:
			continue // not known yet
		case o.refused != nil:
			i.refusal = &refusal{reasonRejected, shortened(o.refused)}
			for _, again := range i.same {
				again.refusal = i.refusal
			}
			continue
		case o.stored:
			i.fresh = true
			w.stored.Inc()
			trace.ObserveID(kafkax.TraceID(i.message.Headers), w.endToEnd, max(0, now.Sub(i.purchase.Timestamp.Time).Seconds()))
		case o.duplicate:
			if user, ok := owners[i.purchase.EventID]; ok {
				owner = user
			}
		default:
			continue
		}
		for _, each := range append([]*item{i}, i.same...) {
			if each.purchase.UserID != owner {
				each.refuseAsForeign()
				continue
			}
			each.done = true
			if !each.fresh {
				w.duplicates.Inc()
			}
		}
	}
	return errors.Join(err, lookupErr)
}

// owners returns the users whose purchases are stored under the ids of duplicates.
// web-server derives ids from the user too, but anyone else who writes to the topic can
// give two users the same one, and the second purchase must not pass as stored.
func (w *writer) owners(ctx context.Context, items []*item, outcomes []outcome) (map[string]string, error) {
	var ids []string
	for n, o := range outcomes {
		if o.duplicate {
			ids = append(ids, items[n].purchase.EventID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return w.store.users(ctx, ids)
}

// refuseAsForeign refuses a purchase whose id is that of another user's. The id leads to
// the other's purchase, so nothing is noted under it.
func (i *item) refuseAsForeign() {
	i.refusal = &refusal{reasonInvalid, errors.New("eventId is that of another user's purchase")}
	i.foreign = true
}

// bury sends the refused items to the dead letters, and notes those with a known event
// id.
func (w *writer) bury(ctx context.Context, items []*item) error {
	var refused []*item
	var letters []kafkax.Record
	now := time.Now()
	for _, i := range items {
		if i.refusal != nil && !i.lettered {
			refused = append(refused, i)
			letters = append(letters, letterOf(i, w.dlqTopic, w.group, now))
		}
	}
	var faults []error
	for n, s := range send(ctx, w.producer, letters) {
		placed, err := s.placed, s.err
		if isTooLarge(err) {
			// Sent alone, because a batch of letters may be too large although none of them is.
			placed, err = w.producer.Send(trace.Apart(ctx), letters[n])
		}
		if isTooLarge(err) {
			w.log.ErrorContext(ctx, "dead letter does not fit, sending its beginning", "error", err, "bytes", len(letters[n].Value))
			placed, err = w.producer.Send(trace.Apart(ctx), truncated(letters[n]))
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		// All in-sync replicas have the letter: only now may the offset pass it.
		refused[n].lettered, refused[n].letter = true, placed
		w.letters.WithLabelValues(w.topic, refused[n].refusal.reason).Inc()
	}
	if len(refused) > len(faults) {
		example := refused[0]
		w.log.WarnContext(ctx, "messages refused; one of them is shown", "count", len(refused)-len(faults), "dlq_topic", w.dlqTopic,
			"partition", example.message.TopicPartition.Partition, "offset", int64(example.message.TopicPartition.Offset),
			"reason", example.refusal.reason, "error", example.refusal.err)
	}
	return errors.Join(first(faults), w.note(ctx, items, now))
}

// note records refused purchases, so that shoppers can ask for their state.
func (w *writer) note(ctx context.Context, items []*item, now time.Time) error {
	var noted []*item
	var notes []deadLetter
	seen := map[string]bool{}
	for _, i := range items {
		if i.done || !i.lettered {
			continue
		}
		noted = append(noted, i)
		if id, ok := event.IDIn(i.message.Value); ok && !seen[id] && !i.foreign {
			seen[id] = true
			src := sourceOf(i.message)
			notes = append(notes, deadLetter{
				ID: id, Reason: i.refusal.reason, Error: i.refusal.err.Error(), At: now.UTC(),
				AcceptedAt: kafkax.SourceTime(i.message).UTC(), Partition: src.Partition, Offset: src.Offset, Log: src.TopicID, Trace: kafkax.TraceID(i.message.Headers),
				LetterPartition: i.letter.Partition, LetterOffset: i.letter.Offset,
			})
		}
	}
	if len(notes) > 0 {
		ctx, cancel := context.WithTimeout(ctx, insertTimeout)
		defer cancel()
		if err := w.store.note(ctx, notes); err != nil {
			return err
		}
	}
	for _, i := range noted {
		i.done = true
	}
	return nil
}

// first returns one of many similar errors.
func first(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return errs[0]
}
