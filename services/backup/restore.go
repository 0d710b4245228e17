package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"shopstream/services/internal/mongox"
)

const (
	// chunkDocuments and chunkBytes limit one insert.
	chunkDocuments = 1000
	chunkBytes     = 4 << 20

	// largestDocument is MongoDB's own limit, including its margin for internal use.
	largestDocument = 16<<20 + 16<<10
)

// restore inserts the documents of a dump that a database doesn't have. Existing
// documents stay as they are.
func (b *backup) restore(ctx context.Context, name, database string) error {
	m, err := readManifest(ctx, b.dumps, name)
	if err != nil {
		return fmt.Errorf("finding the dump %q (list names them): %w", name, err)
	}
	inserted, present, err := insert(ctx, b.dumps, m, b.purchases(database))
	b.log.Info("restore", "dump", m.Name, "database", database, "inserted", inserted, "present", present, "purchases", m.Documents)
	if err != nil {
		return fmt.Errorf("restoring %s into %s: %w", m.Name, database, err)
	}
	return nil
}

// drill restores the newest dump into the scratch database, reads it back, and fails
// unless it equals what was dumped.
func (b *backup) drill(ctx context.Context) (err error) {
	complete, broken, err := b.manifests(ctx)
	if err == nil {
		err = joined(broken)
	}
	switch {
	case err != nil:
		return err
	case len(complete) == 0:
		return errors.New("there is no complete dump to restore: run dump first")
	}
	m := complete[0]
	scratch := b.purchases(b.cfg.Scratch)
	if err := scratch.Drop(ctx); err != nil { // an interrupted drill may have left it
		return fmt.Errorf("emptying the scratch database: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if dropped := scratch.Drop(ctx); dropped != nil {
			err = errors.Join(err, fmt.Errorf("dropping the scratch database: %w", dropped))
		}
	}()
	if _, _, err := insert(ctx, b.dumps, m, scratch); err != nil {
		return fmt.Errorf("restoring the dump %s: %w", m.Name, err)
	}
	restored, err := scan(ctx, scratch, io.Discard)
	if err != nil {
		return fmt.Errorf("reading back what was restored: %w", err)
	}
	if restored != m.content {
		return fmt.Errorf("the dump %s was not restored completely: restored %+v, dumped %+v", m.Name, restored, m.content)
	}
	b.log.Info("drill passed", "dump", m.Name, "purchases", restored.Documents, "sha256", restored.SHA256)
	return nil
}

// insert inserts a dump's documents into a collection; those whose _id it already has
// count as present. The dump is read once before anything is written, so that a broken
// one changes nothing.
func insert(ctx context.Context, s store, m manifest, c *mongo.Collection) (inserted, present int64, err error) {
	if err := verify(ctx, s, m); err != nil {
		return 0, 0, err
	}
	var chunk []bson.Raw
	size := 0
	flush := func() error {
		if len(chunk) == 0 {
			return nil
		}
		there, err := insertMissing(ctx, c, chunk)
		if err != nil {
			return err
		}
		inserted, present = inserted+int64(len(chunk))-there, present+there
		chunk, size = nil, 0
		return nil
	}
	_, err = read(ctx, s, m.Name, func(document bson.Raw) error {
		chunk, size = append(chunk, document), size+len(document)
		if len(chunk) < chunkDocuments && size < chunkBytes {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	return inserted, present, err
}

// insertMissing returns how many of the documents already existed.
func insertMissing(ctx context.Context, c *mongo.Collection, documents []bson.Raw) (int64, error) {
	_, err := c.InsertMany(ctx, documents, options.InsertMany().SetOrdered(false))
	bulk := mongo.BulkWriteException{}
	if err == nil || !errors.As(err, &bulk) || bulk.WriteConcernError != nil {
		return 0, err
	}
	return present(bulk.WriteErrors)
}

// present returns how many documents were refused because their ids exist.
func present(refused []mongo.BulkWriteError) (int64, error) {
	for _, e := range refused {
		if !mongox.IsDuplicateID(e) {
			return 0, fmt.Errorf("inserting purchases: %w", e)
		}
	}
	return int64(len(refused)), nil
}

// verify reads a dump and compares it with its manifest.
func verify(ctx context.Context, s store, m manifest) error {
	got, err := read(ctx, s, m.Name, func(bson.Raw) error { return nil })
	if err != nil {
		return fmt.Errorf("the dump is broken: %w", err)
	}
	if got != m.content {
		return fmt.Errorf("the dump is broken: it contains %+v, but its manifest says %+v", got, m.content)
	}
	return nil
}

// read calls a function for each document of a dump.
func read(ctx context.Context, s store, name string, each func(bson.Raw) error) (content, error) {
	file, err := s.get(ctx, name+dataSuffix)
	if err != nil {
		return content{}, err
	}
	defer func() { _ = file.Close() }()
	plain, err := gzip.NewReader(bufio.NewReader(file))
	if err != nil {
		return content{}, fmt.Errorf("reading %s: %w", name+dataSuffix, err)
	}
	sum := newSummary()
	for {
		document, err := next(plain)
		if errors.Is(err, io.EOF) {
			return sum.content(), nil
		}
		if err != nil {
			return content{}, fmt.Errorf("reading %s after %d documents: %w", name+dataSuffix, sum.sum.Documents, err)
		}
		sum.add(document)
		if err := each(document); err != nil {
			return content{}, err
		}
	}
}

// next reads a document, whose first four bytes are its length. The error is io.EOF only
// at the end of the dump.
func next(r io.Reader) (bson.Raw, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(length[:])
	if size < 5 || size > largestDocument {
		return nil, fmt.Errorf("a document of %d bytes", size)
	}
	document := make(bson.Raw, size)
	copy(document, length[:])
	if _, err := io.ReadFull(r, document[4:]); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // the dump doesn't end here
		}
		return nil, fmt.Errorf("a document is truncated: %w", err)
	}
	if err := document.Validate(); err != nil {
		return nil, fmt.Errorf("a document is not BSON: %w", err)
	}
	return document, nil
}
