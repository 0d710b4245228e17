package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"shopstream/services/internal/event"
	"shopstream/services/internal/retry"
)

// audit compares what is stored with what was acknowledged.
type audit struct {
	Stored     int
	Lost       []string // acknowledged, not stored
	Duplicates []string // one purchase stored more than once
	OutOfOrder []string // a user's acknowledged purchases in the wrong order, in the log or in the list
	DLQ        int
	Totals     []string // totals that differ from the sum of the orders
	Messages   []string // topics for which /messages differs from the log
	Orders     int
}

// faults lists the broken guarantees.
func (a *audit) faults() error {
	var all []error
	add := func(what string, list []string) {
		if len(list) > 0 {
			all = append(all, fmt.Errorf("%d %s: %s", len(list), what, strings.Join(list[:min(5, len(list))], ", ")))
		}
	}
	add("acknowledged purchases lost", a.Lost)
	add("purchases stored twice", a.Duplicates)
	add("purchases out of order", a.OutOfOrder)
	add("totals wrong", a.Totals)
	add("wrong responses of /messages", a.Messages)
	if a.DLQ > 0 {
		all = append(all, fmt.Errorf("%d dead letters", a.DLQ))
	}
	return errors.Join(all...)
}

// auditor reads directly from the brokers and the database, not through the services.
type auditor struct {
	servers []string
	store   *mongo.Collection
}

// settle waits until the groups have committed every record of the consumed topics.
func (a *auditor) settle(ctx context.Context) error {
	var last string
	for {
		lag, err := a.lag(ctx)
		if err == nil && lag == 0 {
			return nil
		}
		last = fmt.Sprintf("lag %d, %v", lag, err)
		if !retry.Sleep(ctx, 250*time.Millisecond) {
			return fmt.Errorf("waiting for the consumers to catch up: %w (%s)", ctx.Err(), last)
		}
	}
}

func (a *auditor) client(opts ...kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(a.servers...), kgo.RetryTimeout(5 * time.Second)}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("connecting the auditor: %w", err)
	}
	return client, nil
}

func (a *auditor) lag(ctx context.Context) (int64, error) {
	client, err := a.client()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	admin := kadm.NewClient(client)
	var lag int64
	for group, topic := range map[string]string{"management-api-group": "purchases", "consumer-service-group": "orders"} {
		// Not the last stable offset: an open transaction counts as unfinished work.
		ends, err := ends(ctx, admin, topic)
		if err != nil {
			return 0, err
		}
		committed, err := admin.FetchOffsets(ctx, group)
		if err != nil {
			return 0, fmt.Errorf("fetching the offsets of %s: %w", group, err)
		}
		ends.Each(func(end kadm.ListedOffset) {
			at, ok := committed.Lookup(topic, end.Partition)
			if !ok || at.At < 0 {
				at.At = 0
			}
			lag += end.Offset - at.At
		})
	}
	return lag, nil
}

// audit compares. The shoppers must have stopped, and settle must have returned.
func (a *auditor) audit(ctx context.Context, l ledger) (*audit, error) {
	result := &audit{}
	if err := a.countStored(ctx, l, result); err != nil {
		return nil, err
	}
	if err := a.checkOrder(ctx, l, result); err != nil {
		return nil, err
	}
	if err := a.checkTotals(ctx, result); err != nil {
		return nil, err
	}
	for _, topic := range []string{"purchases.dlq", "orders.dlq"} {
		letters, err := a.read(ctx, topic)
		if err != nil {
			return nil, err
		}
		result.DLQ += len(letters)
	}
	return result, nil
}

func (a *auditor) countStored(ctx context.Context, l ledger, result *audit) error {
	cursor, err := a.store.Find(ctx, bson.D{}, options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}, {Key: "userid", Value: 1}, {Key: "price", Value: 1}, {Key: "timestamp", Value: 1}}))
	if err != nil {
		return fmt.Errorf("reading what is stored: %w", err)
	}
	type document struct {
		ID        string  `bson:"_id"`
		UserID    string  `bson:"userid"`
		Price     float64 `bson:"price"`
		Timestamp float64 `bson:"timestamp"`
	}
	var documents []document
	if err := cursor.All(ctx, &documents); err != nil {
		return fmt.Errorf("reading what is stored: %w", err)
	}
	result.Stored = len(documents)
	// As management-api lists them, in reverse.
	slices.SortFunc(documents, func(x, y document) int {
		return cmp.Or(cmp.Compare(x.Timestamp, y.Timestamp), cmp.Compare(x.ID, y.ID))
	})
	ids := map[string]bool{}
	purchases := map[string]bool{}
	last := map[string]int{}
	for _, d := range documents {
		ids[d.ID] = true
		number := int(math.Round(d.Price))
		what := fmt.Sprintf("%s #%d", d.UserID, number)
		if purchases[what] {
			result.Duplicates = append(result.Duplicates, what)
		}
		purchases[what] = true
		if number < last[d.UserID] {
			result.OutOfOrder = append(result.OutOfOrder, fmt.Sprintf("%s listed after #%d", what, last[d.UserID]))
		}
		last[d.UserID] = number
	}
	for user, numbers := range l {
		for number, id := range numbers {
			if !ids[id] {
				result.Lost = append(result.Lost, fmt.Sprintf("%s #%d %s", user, number, id))
			}
		}
	}
	return nil
}

// checkOrder compares the order of each user's acknowledged purchases in the log with the
// order in which they were acknowledged. A user has one partition at a time; another one
// after partitions were added.
func (a *auditor) checkOrder(ctx context.Context, l ledger, result *audit) error {
	records, err := a.read(ctx, "purchases")
	if err != nil {
		return err
	}
	numberOf := map[string]int{}
	for _, numbers := range l {
		for number, id := range numbers {
			numberOf[id] = number
		}
	}
	type row struct {
		user      string
		partition int32
	}
	last := map[row]int{}
	for _, r := range records {
		p, err := event.DecodePurchase(r.Value, event.Source{}, "USD")
		if err != nil {
			continue // counted as a dead letter
		}
		number, acknowledged := numberOf[p.EventID]
		if !acknowledged {
			continue
		}
		at := row{p.UserID, r.Partition}
		if number < last[at] {
			result.OutOfOrder = append(result.OutOfOrder, fmt.Sprintf("%s #%d after #%d", p.UserID, number, last[at]))
		}
		last[at] = number
	}
	return nil
}

func (a *auditor) checkTotals(ctx context.Context, result *audit) error {
	orders, err := a.read(ctx, "orders")
	if err != nil {
		return err
	}
	want := map[string]int64{}
	for _, r := range orders {
		o, err := event.DecodeOrder(r.Value)
		if err != nil {
			continue
		}
		result.Orders++
		want[o.Product] += o.Quantity
	}
	records, err := a.read(ctx, "product-totals")
	if err != nil {
		return err
	}
	newest := map[string]event.Total{}
	for _, r := range records {
		total, err := event.DecodeTotal(r.Value)
		if err != nil {
			return err
		}
		if known, ok := newest[string(r.Key)]; !ok || total.Offset > known.Offset {
			newest[string(r.Key)] = total
		}
	}
	got := map[string]int64{}
	for _, total := range newest {
		got[total.Product] += total.Quantity
	}
	for product, quantity := range want {
		if got[product] != quantity {
			result.Totals = append(result.Totals, fmt.Sprintf("%s: %d, but the orders add up to %d", product, got[product], quantity))
		}
	}
	for product := range got {
		if _, ordered := want[product]; !ordered {
			result.Totals = append(result.Totals, product+": never ordered")
		}
	}
	return nil
}

// ends requests a topic's ends until every partition is in the response: one whose leader
// has just moved is left out at first.
func ends(ctx context.Context, admin *kadm.Client, topic string) (kadm.ListedOffsets, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		listed, err := admin.ListEndOffsets(ctx, topic)
		if err = errors.Join(err, listed.Error()); err == nil {
			return listed, nil
		}
		if !retry.Sleep(ctx, 100*time.Millisecond) {
			return nil, fmt.Errorf("listing the end of %s: %w", topic, err)
		}
	}
}

// read returns all committed records of a topic, per partition in order.
func (a *auditor) read(ctx context.Context, topic string) ([]*kgo.Record, error) {
	client, err := a.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ends, err := ends(ctx, kadm.NewClient(client), topic)
	if err != nil {
		return nil, err
	}
	missing := map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Offset > 0 {
			missing[end.Partition] = end.Offset
		}
	})
	var records []*kgo.Record
	for len(missing) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("reading %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
			if r.Offset >= missing[r.Partition]-1 {
				delete(missing, r.Partition)
			}
		})
	}
	slices.SortFunc(records, func(x, y *kgo.Record) int {
		return cmp.Or(cmp.Compare(x.Partition, y.Partition), cmp.Compare(x.Offset, y.Offset))
	})
	return records, nil
}
