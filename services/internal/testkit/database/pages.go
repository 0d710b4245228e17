package database

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	_ "modernc.org/sqlite" // the driver that FerretDB uses
)

// pages reads pages from the SQLite files that FerretDB writes, using its own indexes.
// Safe for concurrent use.
type pages struct {
	dir string

	mu    sync.Mutex
	files map[string]*sql.DB // by database
}

func newPages(dir string) *pages {
	return &pages{dir: dir, files: map[string]*sql.DB{}}
}

func (p *pages) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, db := range p.files {
		_ = db.Close()
	}
}

// find returns the documents of a page, or an error if FerretDB has to answer.
func (p *pages) find(ctx context.Context, ask page) ([]bson.D, error) {
	db, err := p.open(ask.database)
	if err != nil {
		return nil, err
	}
	table, err := tableOf(ctx, db, ask.collection)
	if err != nil {
		return nil, err
	}
	field, by, id := member(ask.field), member(ask.by), member("_id")
	if err := index(ctx, db, table, field, by, id); err != nil {
		return nil, err
	}
	query := fmt.Sprintf(`SELECT _ferretdb_sjson FROM %q WHERE %s = ?`, table, field)
	args := []any{ask.value}
	if ask.after != nil {
		number, err := stored(ctx, db, table, by, *ask.after)
		if err != nil {
			return nil, err
		}
		query += fmt.Sprintf(` AND (%s, %s) < (?, ?)`, by, id)
		args = append(args, number, ask.after.id)
	}
	query += fmt.Sprintf(` ORDER BY %s DESC, %s DESC LIMIT ?`, by, id)
	return read(ctx, db, query, append(args, ask.limit)...)
}

// lookUp returns those of the documents that exist, in any order, or an error if FerretDB
// has to answer.
func (p *pages) lookUp(ctx context.Context, l lookup) ([]bson.D, error) {
	db, err := p.open(l.database)
	if err != nil {
		return nil, err
	}
	table, err := tableOf(ctx, db, l.collection)
	if err != nil {
		return nil, err
	}
	// FerretDB's unique index of this expression is written in another way, which SQLite
	// doesn't take for the same.
	const id = `_ferretdb_sjson->'$._id'`
	if _, err := db.ExecContext(ctx, fmt.Sprintf(`CREATE INDEX IF NOT EXISTS %q ON %q (%s)`, table+" _id", table, id)); err != nil {
		return nil, fmt.Errorf("creating the index of %s: %w", table, err)
	}
	keys := make([]any, len(l.ids))
	for i, id := range l.ids {
		key, err := json.Marshal(id)
		if err != nil {
			return nil, fmt.Errorf("encoding an _id: %w", err)
		}
		keys[i] = string(key)
	}
	documents, err := read(ctx, db, fmt.Sprintf(`SELECT _ferretdb_sjson FROM %q WHERE %s IN (?%s)`, table, id, strings.Repeat(", ?", len(keys)-1)), keys...)
	if err != nil || l.fields == nil {
		return documents, err
	}
	for i, d := range documents {
		documents[i] = slices.DeleteFunc(d, func(e bson.E) bool { return e.Key != "_id" && !slices.Contains(l.fields, e.Key) })
	}
	return documents, nil
}

// read returns the documents that a query finds.
func read(ctx context.Context, db *sql.DB, query string, args ...any) ([]bson.D, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading documents: %w", err)
	}
	defer func() { _ = rows.Close() }()
	documents := []bson.D{}
	for rows.Next() {
		var text []byte
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("reading documents: %w", err)
		}
		document, err := decode(text)
		if err != nil {
			return nil, err
		}
		documents = append(documents, document)
	}
	return documents, rows.Err()
}

// tableOf returns the table of an existing collection.
func tableOf(ctx context.Context, db *sql.DB, collection string) (table string, err error) {
	err = db.QueryRowContext(ctx, `SELECT table_name FROM _ferretdb_collections WHERE name = ?`, collection).Scan(&table)
	if err != nil {
		return "", fmt.Errorf("looking up collection %q: %w", collection, err)
	}
	return table, nil
}

// member returns the SQL expression for a field's value.
func member(name string) string { return fmt.Sprintf(`_ferretdb_sjson->>'%s'`, name) }

// open opens the file of an existing database.
func (p *pages) open(database string) (*sql.DB, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if db, ok := p.files[database]; ok {
		return db, nil
	}
	path := filepath.Join(p.dir, database+".sqlite")
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: "_pragma=busy_timeout(10000)"}).String())
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	db.SetMaxOpenConns(2) // each takes some megabytes; a page takes a millisecond
	p.files[database] = db
	return db, nil
}

// index creates the index for a page, if it doesn't exist. FerretDB's own indexes
// contain JSON text, in which 10.1 comes before 9.5.
func index(ctx context.Context, db *sql.DB, table, field, by, id string) error {
	_, err := db.ExecContext(ctx, fmt.Sprintf(`CREATE INDEX IF NOT EXISTS %q ON %q (%s, %s DESC, %s DESC)`,
		table+" "+field+" "+by, table, field, by, id))
	if err != nil {
		return fmt.Errorf("creating an index of %s: %w", table, err)
	}
	return nil
}

// stored returns after's number as SQLite has it: its parsing of a decimal fraction may
// differ from Go's in the last bit.
func stored(ctx context.Context, db *sql.DB, table, by string, after position) (float64, error) {
	key, err := json.Marshal(after.id)
	if err != nil {
		return 0, err
	}
	var number float64
	err = db.QueryRowContext(ctx, fmt.Sprintf(`SELECT %s FROM %q WHERE _ferretdb_sjson->"_id" = ?`, by, table), string(key)).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		return after.number, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading where the page starts: %w", err)
	}
	if math.Abs(number-after.number) > 1e-15*math.Abs(number) {
		return after.number, nil
	}
	return number, nil
}

// decode decodes a document as FerretDB v1 stores it: JSON, with the types and the order
// of its fields under "$s".
func decode(text []byte) (bson.D, error) {
	var fields map[string]json.RawMessage
	var schema struct {
		Types map[string]struct {
			Type string `json:"t"`
		} `json:"p"`
		Keys []string `json:"$k"`
	}
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, fmt.Errorf("decoding a document: %w", err)
	}
	if err := json.Unmarshal(fields["$s"], &schema); err != nil {
		return nil, fmt.Errorf("decoding a document's types: %w", err)
	}
	document := make(bson.D, len(schema.Keys))
	for i, key := range schema.Keys {
		value, err := decodeValue(schema.Types[key].Type, fields[key])
		if err != nil {
			return nil, fmt.Errorf("decoding field %q: %w", key, err)
		}
		document[i] = bson.E{Key: key, Value: value}
	}
	return document, nil
}

func decodeValue(kind string, text json.RawMessage) (any, error) {
	switch kind {
	case "string":
		return as[string](text)
	case "double":
		return as[float64](text)
	case "long":
		return as[int64](text)
	case "int":
		return as[int32](text)
	case "bool":
		return as[bool](text)
	case "date":
		var ms int64
		err := json.Unmarshal(text, &ms)
		return bson.DateTime(ms), err
	}
	return nil, fmt.Errorf("type %q is left to FerretDB", kind)
}

func as[T any](text json.RawMessage) (any, error) {
	var v T
	err := json.Unmarshal(text, &v)
	return v, err
}
