package main

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// dump writes a new dump, and deletes the oldest ones after that. It contains every
// purchase that was stored before it started, and maybe some that were stored since.
func (b *backup) dump(ctx context.Context) error {
	complete, broken, err := b.manifests(ctx)
	if err != nil {
		return err
	}
	if err := joined(broken); err != nil {
		b.log.Error("earlier dumps can't be restored; a drill fails until their files are deleted", "error", err)
	}
	// Before the dump: it may need the space.
	if err := b.sweep(ctx, complete, broken); err != nil {
		b.log.Error("incomplete dumps could not be deleted", "error", err)
	}
	start := b.now()
	m := manifest{
		Name: nameOf(start), Database: b.cfg.Mongo.Database, Collection: b.cfg.Mongo.Collection, StartedAt: start.UTC().Truncate(time.Second),
	}
	err = b.dumps.put(ctx, m.Name+dataSuffix, func(w io.Writer) error {
		compressed := gzip.NewWriter(w)
		if m.content, err = scan(ctx, b.purchases(m.Database), compressed); err != nil {
			return err
		}
		return compressed.Close()
	})
	if err != nil {
		return fmt.Errorf("dumping the purchases: %w", err)
	}
	if before := fullest(complete); m.Documents == 0 && before.Documents > 0 {
		// After a loss of data, empty dumps must not replace the good ones day by day.
		return errors.Join(fmt.Errorf("the collection %s.%s is empty, and the dump %s holds %d purchases: restore them, or move the dumps elsewhere if it is meant to be empty; no dump was deleted",
			m.Database, m.Collection, before.Name, before.Documents), b.dumps.remove(ctx, m.Name+dataSuffix))
	}
	m.EndedAt = b.now().UTC().Truncate(time.Second)
	err = b.dumps.put(ctx, m.Name+manifestSuffix, func(w io.Writer) error { return json.NewEncoder(w).Encode(m) })
	if err != nil {
		return errors.Join(fmt.Errorf("completing the dump: %w", err), b.dumps.remove(context.WithoutCancel(ctx), m.Name+dataSuffix))
	}
	b.log.Info("dump complete", "dump", m.Name, "purchases", m.Documents, "bytes", m.Bytes, "sha256", m.SHA256)
	if err := b.retain(ctx, m); err != nil {
		return fmt.Errorf("deleting old dumps: %w", err)
	}
	return nil
}

// scan writes every document of a collection, sorted by _id, and returns its content.
// Because of the order, equal collections have equal checksums.
func scan(ctx context.Context, c *mongo.Collection, w io.Writer) (content, error) {
	cursor, err := c.Find(ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		return content{}, fmt.Errorf("reading %s.%s: %w", c.Database().Name(), c.Name(), err)
	}
	defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }()
	sum := newSummary()
	for cursor.Next(ctx) {
		if _, err := w.Write(cursor.Current); err != nil {
			return content{}, err
		}
		sum.add(cursor.Current)
	}
	if err := cursor.Err(); err != nil {
		return content{}, fmt.Errorf("reading %s.%s: %w", c.Database().Name(), c.Name(), err)
	}
	return sum.content(), nil
}

// summary sums up documents as a content.
type summary struct {
	sum  content
	hash interface {
		io.Writer
		Sum([]byte) []byte
	}
}

func newSummary() *summary { return &summary{hash: sha256.New()} }

func (s *summary) add(document bson.Raw) {
	s.sum.Documents++
	s.sum.Bytes += int64(len(document))
	_, _ = s.hash.Write(document) // never fails
}

func (s *summary) content() content {
	c := s.sum
	c.SHA256 = hex.EncodeToString(s.hash.Sum(nil))
	return c
}
