package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"shopstream/services/internal/event"
	"shopstream/services/internal/mongox"
)

// document is a purchase as the database holds it.
type document struct {
	// ID is the event id. As the primary key it makes sure that a purchase is stored
	// once, however often it is delivered.
	ID         string  `bson:"_id"`
	UserID     string  `bson:"userid"`
	Username   string  `bson:"username"`
	Price      float64 `bson:"price"`
	PriceMinor int64   `bson:"priceMinor"`
	Currency   string  `bson:"currency"`
	// Timestamp is in seconds, as on the wire. The database's own dates have
	// milliseconds, which are too coarse to keep the order of purchases.
	Timestamp float64 `bson:"timestamp"`
	Product   string  `bson:"product,omitempty"`
	Trail     trail   `bson:",inline"`
}

func documentOf(p event.Purchase) document {
	return document{
		ID: p.EventID, UserID: p.UserID, Username: p.Username,
		Price: float64(p.Price), PriceMinor: p.PriceMinor, Currency: p.Currency, Timestamp: p.Timestamp.Seconds(),
		Product: p.Product,
	}
}

// deadLetter records that an event was refused, and why.
type deadLetter struct {
	ID     string    `bson:"_id"`
	Reason string    `bson:"reason"`
	Error  string    `bson:"error"`
	At     time.Time `bson:"at"`
	// The record that was refused, at the position where it was first read. The zero
	// AcceptedAt is that of a note of an earlier version, which has nothing of this.
	AcceptedAt time.Time `bson:"acceptedAt,omitempty"`
	Partition  int32     `bson:"partition"`
	Offset     int64     `bson:"offset"`
	Log        string    `bson:"log,omitempty"`
	Trace      string    `bson:"trace,omitempty"`
	// Where the letter is.
	LetterPartition int32 `bson:"letterPartition"`
	LetterOffset    int64 `bson:"letterOffset"`
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

// createIndex creates the index for a user's list, unless it exists.
func (s *store) createIndex(ctx context.Context) error {
	_, err := s.purchases.Indexes().CreateOne(ctx, mongo.IndexModel{
		Keys: bson.D{{Key: "userid", Value: 1}, {Key: "timestamp", Value: -1}, {Key: "_id", Value: -1}},
	})
	if err != nil {
		return fmt.Errorf("creating the index of the purchases: %w", err)
	}
	return nil
}

// outcome is the result of an insert for one purchase.
type outcome struct {
	stored    bool  // now
	duplicate bool  // stored before
	refused   error // why it will never be stored as it is
}

// insert stores documents with distinct ids and returns the outcome of each. A
// purchase with an empty outcome was not stored because of a transient fault, which
// the error names.
func (s *store) insert(ctx context.Context, documents []document) ([]outcome, error) {
	// Unordered, so that a purchase that is stored already, or refused, doesn't stop
	// the others.
	_, err := s.purchases.InsertMany(ctx, documents, options.InsertMany().SetOrdered(false))
	return outcomesOf(len(documents), err)
}

func outcomesOf(count int, err error) ([]outcome, error) {
	outcomes := make([]outcome, count)
	bulk := mongo.BulkWriteException{}
	if err != nil && !errors.As(err, &bulk) {
		return outcomes, fmt.Errorf("storing purchases: %w", err) // every outcome is unknown
	}
	var transient error
	durable := bulk.WriteConcernError == nil
	if !durable {
		// Written, but not by a majority, so that a new primary might not have them.
		// They are retried until a majority has them.
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
		case mongox.IsDuplicateID(e):
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

// isPermanent reports whether a write error is about the document itself, so that a
// retry can't help. All other errors are retried: a purchase that waits is better than
// an unnecessary dead letter.
func isPermanent(code int) bool {
	return slices.Contains([]int{
		2,                   // BadValue
		9,                   // FailedToParse
		14,                  // TypeMismatch
		15,                  // Overflow
		22,                  // InvalidBSON
		53,                  // InvalidIdField
		121,                 // DocumentValidationFailure
		10334,               // BSONObjectTooLarge
		mongox.DuplicateKey, // in an index other than that of the id
		17280,               // KeyTooLong
	}, code)
}

// find returns which of these purchases are stored, without documents that are none,
// because something else has written them.
func (s *store) find(ctx context.Context, ids []string) ([]document, error) {
	found, err := s.purchases.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}})
	if err != nil {
		return nil, fmt.Errorf("finding purchases: %w", err)
	}
	var all []bson.Raw
	if err := found.All(ctx, &all); err != nil {
		return nil, fmt.Errorf("reading purchases: %w", err)
	}
	var documents []document
	for _, raw := range all {
		var d document
		if bson.Unmarshal(raw, &d) == nil {
			documents = append(documents, d)
		}
	}
	return documents, nil
}

// users returns the user of each of these purchases that is stored, unless a document has
// none, because something else has written to it.
func (s *store) users(ctx context.Context, ids []string) (map[string]string, error) {
	found, err := s.purchases.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}},
		options.Find().SetProjection(bson.D{{Key: "userid", Value: 1}}))
	if err != nil {
		return nil, fmt.Errorf("finding the users of purchases: %w", err)
	}
	var documents []struct {
		ID     string        `bson:"_id"`
		UserID bson.RawValue `bson:"userid"`
	}
	if err := found.All(ctx, &documents); err != nil {
		return nil, fmt.Errorf("reading the users of purchases: %w", err)
	}
	users := map[string]string{}
	for _, d := range documents {
		if user, ok := d.UserID.StringValueOK(); ok {
			users[d.ID] = user
		}
	}
	return users, nil
}

// note records that events were refused. Earlier notes of the same events are kept.
func (s *store) note(ctx context.Context, letters []deadLetter) error {
	_, err := s.deadLetters.InsertMany(ctx, letters, options.InsertMany().SetOrdered(false))
	bulk := mongo.BulkWriteException{}
	if errors.As(err, &bulk) && bulk.WriteConcernError == nil {
		// The letter itself is safe in its topic, so a note that the database refuses
		// must not block the partition.
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

// page returns up to limit purchases of a user, newest first, after the cursor if there
// is one.
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

// state returns the purchase or the dead letter of an event, or neither; or both, if it
// was refused first, and put back.
func (s *store) state(ctx context.Context, eventID string) (*document, *deadLetter, error) {
	byID := bson.D{{Key: "_id", Value: eventID}}
	// Purchases first: a refused one may have been replayed and stored since.
	var purchase document
	err := s.purchases.FindOne(ctx, byID).Decode(&purchase)
	if err == nil && !purchase.Trail.Replayed {
		return &purchase, nil, nil
	}
	found := &purchase
	if errors.Is(err, mongo.ErrNoDocuments) {
		found, err = nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("finding a purchase: %w", err)
	}
	var letter deadLetter
	err = s.deadLetters.FindOne(ctx, byID).Decode(&letter)
	if err == nil {
		return found, &letter, nil
	}
	if !errors.Is(err, mongo.ErrNoDocuments) {
		return nil, nil, fmt.Errorf("finding a dead letter: %w", err)
	}
	return found, nil, nil
}
