package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"shopstream/services/internal/event"
)

// document is a purchase as the database holds it.
type document struct {
	// ID is the event id. That it is the primary key is what makes a purchase
	// stored once, however often it is delivered.
	ID         string  `bson:"_id"`
	UserID     string  `bson:"userid"`
	Username   string  `bson:"username"`
	Price      float64 `bson:"price"`
	PriceMinor int64   `bson:"priceMinor"`
	Currency   string  `bson:"currency"`
	// Timestamp is in seconds, as on the wire: the database's own dates end at
	// the millisecond, too coarse to keep the order of buying.
	Timestamp float64 `bson:"timestamp"`
	Product   string  `bson:"product,omitempty"`
}

func documentOf(p event.Purchase) document {
	return document{
		ID: p.EventID, UserID: p.UserID, Username: p.Username,
		Price: float64(p.Price), PriceMinor: p.PriceMinor, Currency: p.Currency, Timestamp: p.Timestamp.Seconds(),
		Product: p.Product,
	}
}

// deadLetter says of an event that it was refused, and why.
type deadLetter struct {
	ID     string    `bson:"_id"`
	Reason string    `bson:"reason"`
	Error  string    `bson:"error"`
	At     time.Time `bson:"at"`
}

// store is the database. Safe for concurrent use.
type store struct {
	purchases   *mongo.Collection
	deadLetters *mongo.Collection
}

func newStore(client *mongo.Client, database, collection string) *store {
	db := client.Database(database)
	return &store{purchases: db.Collection(collection), deadLetters: db.Collection(deadLettersCollection)}
}

// createIndex makes the index behind a user's list; one that is there is left.
func (s *store) createIndex(ctx context.Context) error {
	_, err := s.purchases.Indexes().CreateOne(ctx, mongo.IndexModel{
		Keys: bson.D{{Key: "userid", Value: 1}, {Key: "timestamp", Value: -1}, {Key: "_id", Value: -1}},
	})
	if err != nil {
		return fmt.Errorf("creating the index of the purchases: %w", err)
	}
	return nil
}

// outcome is what became of one purchase in an insert.
type outcome struct {
	stored    bool  // now
	duplicate bool  // stored before
	refused   error // never will be stored as it is
}

// insert stores purchases with distinct ids and returns what became of each.
// One with an empty outcome was not stored for a reason that passes by itself;
// then the error says which.
func (s *store) insert(ctx context.Context, purchases []event.Purchase) ([]outcome, error) {
	documents := make([]document, len(purchases))
	for i, p := range purchases {
		documents[i] = documentOf(p)
	}
	// Unordered: a purchase that is there already, or is refused, doesn't keep
	// the others out.
	_, err := s.purchases.InsertMany(ctx, documents, options.InsertMany().SetOrdered(false))
	return outcomesOf(len(purchases), err)
}

func outcomesOf(count int, err error) ([]outcome, error) {
	outcomes := make([]outcome, count)
	bulk := mongo.BulkWriteException{}
	if err != nil && !errors.As(err, &bulk) {
		return outcomes, fmt.Errorf("storing purchases: %w", err) // nothing is known of any of them
	}
	var transient error
	durable := bulk.WriteConcernError == nil
	if !durable {
		// Written, but not by a majority: a new primary might not have them.
		// They are tried again until the answer is that a majority does.
		transient = fmt.Errorf("storing purchases: %w", bulk.WriteConcernError)
	}
	for i := range outcomes {
		outcomes[i].stored = durable
	}
	for _, e := range bulk.WriteErrors {
		if e.Index < 0 || e.Index >= count {
			return make([]outcome, count), fmt.Errorf("storing purchases: the answer is about number %d of %d: %w", e.Index, count, err)
		}
		switch {
		case isStoredAlready(e):
			outcomes[e.Index] = outcome{duplicate: durable}
		case isPermanent(e.Code):
			outcomes[e.Index] = outcome{refused: fmt.Errorf("refused by the database (code %d): %s", e.Code, e.Message)}
		default:
			outcomes[e.Index] = outcome{}
			transient = errors.Join(transient, fmt.Errorf("storing purchases: %w", e))
		}
	}
	return outcomes, transient
}

const duplicateKey = 11000

// isStoredAlready reports whether the document is there under its own id. A
// clash in a unique index that somebody has added is something else: the
// purchase is not stored.
func isStoredAlready(e mongo.BulkWriteError) bool {
	return e.Code == duplicateKey && (!strings.Contains(e.Message, " index: ") || strings.Contains(e.Message, " index: _id_ "))
}

// isPermanent reports whether a write error is about the document itself, so
// that trying again can't help. All that is not known to be so is tried again:
// a purchase that waits is better than one in the dead letters for nothing.
func isPermanent(code int) bool {
	return slices.Contains([]int{
		2,            // BadValue
		9,            // FailedToParse
		14,           // TypeMismatch
		15,           // Overflow
		22,           // InvalidBSON
		53,           // InvalidIdField
		121,          // DocumentValidationFailure
		10334,        // BSONObjectTooLarge
		duplicateKey, // in another index than that of the id
		17280,        // KeyTooLong
	}, code)
}

// find returns which of these purchases are stored.
func (s *store) find(ctx context.Context, ids []string) ([]document, error) {
	found, err := s.purchases.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}})
	if err != nil {
		return nil, fmt.Errorf("finding purchases: %w", err)
	}
	var documents []document
	if err := found.All(ctx, &documents); err != nil {
		return nil, fmt.Errorf("reading purchases: %w", err)
	}
	return documents, nil
}

// note records that events were refused. One noted before keeps its note.
func (s *store) note(ctx context.Context, letters []deadLetter) error {
	_, err := s.deadLetters.InsertMany(ctx, letters, options.InsertMany().SetOrdered(false))
	bulk := mongo.BulkWriteException{}
	if errors.As(err, &bulk) && bulk.WriteConcernError == nil {
		// The letter itself is safe in its topic: a note that the database does
		// not take must not keep the partition waiting.
		unwritten := slices.ContainsFunc(bulk.WriteErrors, func(e mongo.BulkWriteError) bool {
			return !isPermanent(e.Code)
		})
		if !unwritten {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("noting dead letters: %w", err)
	}
	return nil
}

// page returns up to limit purchases of a user, newest first, from after the
// cursor where there is one.
func (s *store) page(ctx context.Context, userID string, after *cursor, limit int) ([]document, error) {
	filter := bson.D{{Key: "userid", Value: userID}}
	if after != nil {
		filter = append(filter,
			bson.E{Key: "timestamp", Value: bson.D{{Key: "$lte", Value: after.timestamp}}}, // where the index scan starts
			bson.E{Key: "$or", Value: bson.A{
				bson.D{{Key: "timestamp", Value: bson.D{{Key: "$lt", Value: after.timestamp}}}},
				bson.D{{Key: "_id", Value: bson.D{{Key: "$lt", Value: after.id}}}},
			}})
	}
	found, err := s.purchases.Find(ctx, filter, options.Find().
		SetSort(bson.D{{Key: "timestamp", Value: -1}, {Key: "_id", Value: -1}}).
		SetLimit(int64(limit)).
		SetBatchSize(int32(limit))) // one round trip
	if err != nil {
		return nil, fmt.Errorf("finding a user's purchases: %w", err)
	}
	var documents []document
	if err := found.All(ctx, &documents); err != nil {
		return nil, fmt.Errorf("reading a user's purchases: %w", err)
	}
	return documents, nil
}

// state is what is known of an event: a purchase, a dead letter or nothing.
func (s *store) state(ctx context.Context, eventID string) (*document, *deadLetter, error) {
	byID := bson.D{{Key: "_id", Value: eventID}}
	// Purchases first: one that was refused once and replayed since is stored.
	var purchase document
	err := s.purchases.FindOne(ctx, byID).Decode(&purchase)
	if err == nil {
		return &purchase, nil, nil
	}
	if !errors.Is(err, mongo.ErrNoDocuments) {
		return nil, nil, fmt.Errorf("finding a purchase: %w", err)
	}
	var letter deadLetter
	err = s.deadLetters.FindOne(ctx, byID).Decode(&letter)
	if err == nil {
		return nil, &letter, nil
	}
	if !errors.Is(err, mongo.ErrNoDocuments) {
		return nil, nil, fmt.Errorf("finding a dead letter: %w", err)
	}
	return nil, nil, nil
}
