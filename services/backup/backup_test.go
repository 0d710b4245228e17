package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/mongox"
	"shopstream/services/internal/testkit/databasetest"
)

// shop is a database with purchases, and a folder for its dumps. Each dump is made a day
// after the one before.
type shop struct {
	*backup

	dir string
	day int
}

func newShop(t *testing.T) *shop {
	t.Helper()
	uri, name := databasetest.Start(t)
	cfg := config{
		Mongo: mongox.Config{URI: envconf.Secret(uri), Database: name, Collection: "purchases"},
		Keep:  3, Scratch: name + "_drill", Timeout: 3 * time.Hour,
	}
	client, err := mongox.Connect(cfg.Mongo, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = client.Database(name).Drop(ctx)
		_ = client.Disconnect(ctx)
	})
	s := &shop{dir: t.TempDir()}
	s.backup = &backup{cfg: cfg, dumps: folder(s.dir), client: client, log: slog.New(slog.DiscardHandler)}
	s.now = func() time.Time { return time.Date(2026, 11, 1+s.day, 2, 30, 0, 0, time.UTC) }
	return s
}

// buy stores purchases from..to-1.
func (s *shop) buy(t *testing.T, from, to int) {
	t.Helper()
	if err := storePurchases(t.Context(), s.purchases(s.cfg.Mongo.Database), from, to); err != nil {
		t.Fatal(err)
	}
}

func storePurchases(ctx context.Context, c *mongo.Collection, from, to int) error {
	var documents []bson.D
	for i := from; i < to; i++ {
		documents = append(documents, bson.D{
			{Key: "_id", Value: fmt.Sprintf("0199-%06d", i)}, {Key: "userid", Value: "u1"}, {Key: "username", Value: "zoë"},
			{Key: "price", Value: 9.5 + float64(i)}, {Key: "priceMinor", Value: int64(950 + 100*i)}, {Key: "timestamp", Value: 1.7e9 + float64(i)/1000},
		})
	}
	_, err := c.InsertMany(ctx, documents)
	return err
}

func (s *shop) mustDump(t *testing.T) manifest {
	t.Helper()
	s.day++
	if err := s.dump(t.Context()); err != nil {
		t.Fatal(err)
	}
	complete, _, err := s.manifests(t.Context())
	if err != nil || len(complete) == 0 {
		t.Fatal(len(complete), err)
	}
	return complete[0]
}

// contents returns a database's purchases.
func (s *shop) contents(t *testing.T, database string) content {
	t.Helper()
	got, err := scan(t.Context(), s.purchases(database), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (s *shop) files(t *testing.T) []string {
	t.Helper()
	names, err := s.dumps.names(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestRestoreIntoAnEmptyDatabase(t *testing.T) {
	s := newShop(t)
	s.buy(t, 0, 2500)
	m := s.mustDump(t)
	if m.Documents != 2500 {
		t.Fatalf("%d purchases dumped, want 2500", m.Documents)
	}
	other := s.cfg.Mongo.Database + "_new"
	t.Cleanup(func() { _ = s.client.Database(other).Drop(context.Background()) })
	if err := s.restore(t.Context(), m.Name, other); err != nil {
		t.Fatal(err)
	}
	if got := s.contents(t, other); got != m.content {
		t.Errorf("restored %+v, want %+v", got, m.content)
	}
}

// Existing purchases stay as they are, even if the dump has different ones with their ids.
func TestRestoreOverwritesNothing(t *testing.T) {
	s := newShop(t)
	s.buy(t, 0, 1500)
	m := s.mustDump(t)
	c := s.purchases(s.cfg.Mongo.Database)
	if _, err := c.DeleteMany(t.Context(), bson.D{{Key: "priceMinor", Value: bson.D{{Key: "$gte", Value: int64(950 + 100*700)}}}}); err != nil {
		t.Fatal(err)
	}
	first := bson.D{{Key: "_id", Value: "0199-000000"}}
	if _, err := c.UpdateOne(t.Context(), first, bson.D{{Key: "$set", Value: bson.D{{Key: "username", Value: "renamed"}}}}); err != nil {
		t.Fatal(err)
	}
	s.buy(t, 2000, 2010) // since the dump
	inserted, present, err := insert(t.Context(), s.dumps, m, c)
	if err != nil {
		t.Fatal(err)
	}
	if inserted != 800 || present != 700 {
		t.Errorf("%d inserted and %d present, want 800 and 700", inserted, present)
	}
	if got := s.contents(t, s.cfg.Mongo.Database); got.Documents != 1510 {
		t.Errorf("%d purchases, want 1510", got.Documents)
	}
	var kept struct{ Username string }
	if err := c.FindOne(t.Context(), first).Decode(&kept); err != nil || kept.Username != "renamed" {
		t.Errorf("the purchase that was there is now of %q, %v", kept.Username, err)
	}
}

// interrupted is a folder whose dumps can be verified, and then read no further
// than so many bytes.
type interrupted struct {
	folder
	after int64
	reads int
}

func (c *interrupted) get(ctx context.Context, name string) (io.ReadCloser, error) {
	file, err := c.folder.get(ctx, name)
	if !strings.HasSuffix(name, dataSuffix) {
		return file, err
	}
	if c.reads++; err != nil || c.reads == 1 {
		return file, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(file, c.after), iotest.ErrReader(errors.New("connection reset"))), file}, nil
}

// A restore that was interrupted is completed by the next one, and a further one
// finds everything there.
func TestAnInterruptedRestoreIsCompletedByTheNext(t *testing.T) {
	s := newShop(t)
	s.buy(t, 0, 4500)
	m := s.mustDump(t)
	c := s.purchases(s.cfg.Mongo.Database + "_new")
	t.Cleanup(func() { _ = c.Database().Drop(context.Background()) })
	whole, err := os.ReadFile(filepath.Join(s.dir, m.Name+dataSuffix))
	if err != nil {
		t.Fatal(err)
	}
	first, _, err := insert(t.Context(), &interrupted{folder: folder(s.dir), after: int64(len(whole) / 2)}, m, c)
	if err == nil || !strings.Contains(err.Error(), "connection reset") || first == 0 || first >= 4500 {
		t.Fatalf("%d inserted before the interruption: %v", first, err)
	}
	inserted, present, err := insert(t.Context(), s.dumps, m, c)
	if err != nil || inserted != 4500-first || present != first {
		t.Errorf("the second run inserts %d, and %d were there: want %d and %d: %v", inserted, present, 4500-first, first, err)
	}
	inserted, present, err = insert(t.Context(), s.dumps, m, c)
	if err != nil || inserted != 0 || present != 4500 {
		t.Errorf("the third run inserts %d, and %d were there: %v", inserted, present, err)
	}
	if got := s.contents(t, c.Database().Name()); got != m.content {
		t.Errorf("restored %+v, want %+v", got, m.content)
	}
}

// A dump contains everything that was stored before it started, whatever is stored
// meanwhile, and is restored completely.
func TestDumpWhilePurchasesAreStored(t *testing.T) {
	s := newShop(t)
	s.buy(t, 0, 3000)
	c := s.purchases(s.cfg.Mongo.Database)
	stop := make(chan struct{})
	stored := make(chan error, 1)
	go func() {
		for i := 3000; ; i += 10 {
			select {
			case <-stop:
				stored <- nil
				return
			default:
			}
			if err := storePurchases(context.Background(), c, i, i+10); err != nil {
				stored <- err
				return
			}
		}
	}()
	m := s.mustDump(t)
	close(stop)
	if err := <-stored; err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	_, err := read(t.Context(), s.dumps, m.Name, func(document bson.Raw) error {
		seen[document.Lookup("_id").StringValue()]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		if id := fmt.Sprintf("0199-%06d", i); seen[id] != 1 {
			t.Fatalf("purchase %s is %d times in the dump", id, seen[id])
		}
	}
	if err := s.drill(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDrillLeavesNothing(t *testing.T) {
	s := newShop(t)
	if err := s.drill(t.Context()); err == nil || !strings.Contains(err.Error(), "no complete dump") {
		t.Errorf("a drill without a dump: %v", err)
	}
	s.buy(t, 0, 100)
	s.mustDump(t)
	// An earlier drill was interrupted.
	if err := storePurchases(t.Context(), s.purchases(s.cfg.Scratch), 900, 910); err != nil {
		t.Fatal(err)
	}
	before := s.contents(t, s.cfg.Mongo.Database)
	if err := s.drill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.contents(t, s.cfg.Scratch); got.Documents != 0 {
		t.Errorf("%d purchases are left in the scratch database", got.Documents)
	}
	if got := s.contents(t, s.cfg.Mongo.Database); got != before {
		t.Error("the drill has changed the purchases")
	}
}

// A dump that is broken, or differs from its manifest, is refused before anything is
// inserted.
func TestBrokenDumpsAreRefused(t *testing.T) {
	s := newShop(t)
	s.buy(t, 0, 500)
	m := s.mustDump(t)
	path := filepath.Join(s.dir, m.Name+dataSuffix)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, broken := range map[string][]byte{
		"truncated":       whole[:len(whole)/2],
		"end is missing":  whole[:len(whole)-8],
		"empty":           {},
		"a bit has moved": flipped(whole),
		"another dump":    zipped(t, unzipped(t, whole)[:firstDocument(t, whole)]),
		"cut document":    zipped(t, unzipped(t, whole)[:firstDocument(t, whole)+20]),
		"no BSON":         zipped(t, []byte("purchases, purchases, purchases")),
	} {
		if err := os.WriteFile(path, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		other := s.cfg.Mongo.Database + "_new"
		if err := s.restore(t.Context(), m.Name, other); err == nil || !strings.Contains(err.Error(), "the dump is broken") {
			t.Errorf("%s: %v, want that the dump is broken", name, err)
		}
		if got := s.contents(t, other); got.Documents != 0 {
			t.Errorf("%s: %d purchases were restored of it", name, got.Documents)
		}
		if err := s.drill(t.Context()); err == nil {
			t.Errorf("%s: the drill passes", name)
		}
	}
}

// A dump whose manifest can't be read is reported and kept, and is in nobody's way.
func TestABrokenManifestStopsNoOtherDump(t *testing.T) {
	s := newShop(t)
	s.buy(t, 0, 10)
	first := s.mustDump(t)
	for name, content := range map[string]string{
		"purchases-20250101T000000Z": "{", "purchases-20250102T000000Z": `{"name":"` + first.Name + `"}`,
	} {
		for file, text := range map[string]string{name + manifestSuffix: content, name + dataSuffix: "data"} {
			if err := os.WriteFile(filepath.Join(s.dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	second := s.mustDump(t)
	if err := s.restore(t.Context(), second.Name, s.cfg.Mongo.Database); err != nil {
		t.Errorf("restoring another dump: %v", err)
	}
	var listed strings.Builder
	err := s.list(t.Context(), &listed)
	for _, name := range []string{"purchases-20250101T000000Z", "purchases-20250102T000000Z"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("list says %v, want that %s is broken", err, name)
		}
		if _, err := os.Stat(filepath.Join(s.dir, name+dataSuffix)); err != nil {
			t.Errorf("the data of the broken dump is gone: %v", err)
		}
	}
	if !strings.Contains(listed.String(), second.Name) {
		t.Errorf("listed %q, want %s too", listed.String(), second.Name)
	}
	if err := s.drill(t.Context()); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("the drill says %v, want the broken manifests", err)
	}
}

func flipped(data []byte) []byte {
	data = bytes.Clone(data)
	data[len(data)/2] ^= 0x10
	return data
}

func unzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func zipped(t *testing.T, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(plain)
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func firstDocument(t *testing.T, data []byte) int {
	t.Helper()
	document, err := next(bytes.NewReader(unzipped(t, data)))
	if err != nil {
		t.Fatal(err)
	}
	return len(document)
}

// fullDisk has room for a number of bytes.
type fullDisk struct {
	folder
	room int
}

func (d fullDisk) put(ctx context.Context, name string, write func(io.Writer) error) error {
	return d.folder.put(ctx, name, func(w io.Writer) error { return write(&limited{w, d.room}) })
}

type limited struct {
	w    io.Writer
	room int
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.room {
		return 0, syscall.ENOSPC
	}
	l.room -= len(p)
	return l.w.Write(p)
}

// A full disk makes the dump fail, and leaves nothing of it and every older dump.
func TestFullDisk(t *testing.T) {
	s := newShop(t)
	s.buy(t, 0, 2000)
	for range 3 {
		s.mustDump(t)
	}
	before := s.files(t)
	s.day++
	s.dumps = fullDisk{folder(s.dir), 3000}
	if err := s.dump(t.Context()); err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("dumping to a full disk: %v", err)
	}
	if got := s.files(t); !slices.Equal(got, before) {
		t.Errorf("files %v, want %v as before", got, before)
	}
}

func TestRetention(t *testing.T) {
	s := newShop(t)
	s.buy(t, 0, 10)
	leftovers := []string{"purchases-20261001T023000Z.bson.gz.part", "purchases-20261002T023000Z.bson.gz"}
	foreign := []string{"notes.txt", "purchases-by-hand.bson.gz"}
	for _, name := range slices.Concat(leftovers, foreign) {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		s.mustDump(t)
	}
	// One that is being written now.
	young := "purchases-20261107T013000Z.bson.gz.part"
	if err := os.WriteFile(filepath.Join(s.dir, young), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.mustDump(t)
	want := append(foreign, young)
	for day := 5; day <= 7; day++ { // the first dump was made on the second
		name := nameOf(time.Date(2026, 11, day, 2, 30, 0, 0, time.UTC))
		want = append(want, name+dataSuffix, name+manifestSuffix)
	}
	slices.Sort(want)
	if got := s.files(t); !slices.Equal(got, want) {
		t.Errorf("files\n%v, want\n%v", got, want)
	}
}

// What a killed dump has left may fill the volume, so that no later dump succeeds.
func TestWhatAKilledDumpHasLeftIsDeletedFirst(t *testing.T) {
	s := newShop(t)
	s.buy(t, 0, 2000)
	if err := os.WriteFile(filepath.Join(s.dir, "purchases-20261101T023000Z.bson.gz.part"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.day++
	s.dumps = fullDisk{folder(s.dir), 3000}
	if err := s.dump(t.Context()); err == nil {
		t.Fatal("the disk is full, and the dump succeeds")
	}
	if got := s.files(t); len(got) > 0 {
		t.Errorf("files %v are left", got)
	}
}

// Purchases are never deleted: if a dump holds fewer than an older one, that one may be
// the only one with what was lost.
func TestRetentionKeepsTheDumpWithTheMostPurchases(t *testing.T) {
	s := newShop(t)
	s.buy(t, 0, 100)
	whole := s.mustDump(t)
	few := bson.D{{Key: "priceMinor", Value: bson.D{{Key: "$gte", Value: int64(950 + 100*10)}}}}
	if _, err := s.purchases(s.cfg.Mongo.Database).DeleteMany(t.Context(), few); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		s.mustDump(t)
	}
	if got := s.files(t); len(got) != 2*(s.cfg.Keep+1) || !slices.Contains(got, whole.Name+manifestSuffix) {
		t.Errorf("files %v, want three dumps and %s", got, whole.Name)
	}
	if err := s.restore(t.Context(), whole.Name, s.cfg.Mongo.Database); err != nil {
		t.Fatal(err)
	}
	s.mustDump(t)
	if got := s.files(t); len(got) != 2*s.cfg.Keep {
		t.Errorf("files %v, want three dumps, as nothing is missing any more", got)
	}
}

// A dump from the future would be the newest for as long: drills would test nothing else.
func TestADumpFromTheFutureIsInNobodysWay(t *testing.T) {
	s := newShop(t)
	s.cfg.Keep = 1
	s.buy(t, 0, 10)
	s.day = 300
	ahead := s.mustDump(t)
	s.day = 1
	s.buy(t, 10, 20)
	m := s.mustDump(t)
	if m.Name == ahead.Name || m.Documents != 20 {
		t.Errorf("the newest dump is %+v", m)
	}
	want := []string{m.Name + dataSuffix, m.Name + manifestSuffix, ahead.Name + dataSuffix, ahead.Name + manifestSuffix}
	if got := s.files(t); !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	if err := s.drill(t.Context()); err == nil || !strings.Contains(err.Error(), ahead.Name+" is from the future") {
		t.Errorf("the drill says %v, want the dump from the future", err)
	}
	if err := s.restore(t.Context(), ahead.Name, s.cfg.Mongo.Database); err != nil {
		t.Errorf("it can't be restored: %v", err)
	}
}

// undeletable is a folder whose files can't be deleted.
type undeletable struct{ folder }

func (undeletable) remove(context.Context, string) error { return errors.New("not permitted") }

func TestOnlyWhatIsGoneIsCalledDeleted(t *testing.T) {
	s := newShop(t)
	s.cfg.Keep = 1
	s.buy(t, 0, 10)
	s.mustDump(t)
	if err := os.WriteFile(filepath.Join(s.dir, "purchases-20261001T023000Z.bson.gz.part"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s.day++
	s.log, s.dumps = slog.New(slog.NewTextHandler(&log, nil)), undeletable{folder(s.dir)}
	if err := s.dump(t.Context()); err == nil || !strings.Contains(err.Error(), "not permitted") {
		t.Errorf("the dump says %v", err)
	}
	if strings.Contains(log.String(), "dump deleted") || !strings.Contains(log.String(), "incomplete dumps could not be deleted") {
		t.Errorf("the log says\n%s", log.String())
	}
}

// Such as a scheduled one and `make backup`: both delete the same old dumps.
func TestTwoDumpsAtOnce(t *testing.T) {
	s := newShop(t)
	s.buy(t, 0, 3000)
	for range 3 {
		s.mustDump(t)
	}
	var both sync.WaitGroup
	for i := range 2 {
		b := *s.backup
		b.cfg.Keep = 1
		b.now = func() time.Time { return time.Date(2026, 12, 1, 2, 30, i, 0, time.UTC) }
		both.Go(func() {
			if err := b.dump(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	s.day = 30
	if err := s.drill(t.Context()); err != nil {
		t.Error(err)
	}
}

// A unique index that somebody has added refuses purchases that the database lacks. The
// embedded database doesn't say which index it was.
func TestWhatAnotherIndexRefusesIsNotPresent(t *testing.T) {
	refused := func(index string) mongo.BulkWriteError {
		return mongo.BulkWriteError{WriteError: mongo.WriteError{Code: mongox.DuplicateKey,
			Message: "E11000 duplicate key error collection: shopping.purchases index: " + index + " dup key: { x: 1 }"}}
	}
	if n, err := present([]mongo.BulkWriteError{refused("_id_"), refused("_id_")}); n != 2 || err != nil {
		t.Errorf("%d are present: %v", n, err)
	}
	if _, err := present([]mongo.BulkWriteError{refused("_id_"), refused("userid_1")}); err == nil || !strings.Contains(err.Error(), "userid_1") {
		t.Errorf("a purchase is missing: %v", err)
	}
}

// Empty dumps of a lost database must not replace the good ones.
func TestAnEmptyDatabaseDeletesNoDump(t *testing.T) {
	s := newShop(t)
	s.mustDump(t) // an empty database is dumped too
	s.buy(t, 0, 10)
	s.mustDump(t)
	before := s.files(t)
	if err := s.purchases(s.cfg.Mongo.Database).Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.day++
	if err := s.dump(t.Context()); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("dumping a lost database: %v", err)
	}
	if got := s.files(t); !slices.Equal(got, before) {
		t.Errorf("files %v, want %v as before", got, before)
	}
}

func TestConfigFaultsAreListedAllAtOnce(t *testing.T) {
	err := run(t.Context(), []string{"dump"}, []string{
		"MONGO_URI=mongodb://db:27017", "BACKUP_FOLDER=/dumps", "S3_BUCKET=dumps", "S3_ENDPOINT=store:9000", "BACKUP_KEEP=0", "SCRATCH_DATABASE=shopping",
	}, io.Discard)
	for _, want := range []string{"BACKUP_FOLDER or S3_BUCKET", "BACKUP_KEEP", "SCRATCH_DATABASE", "S3_ENDPOINT", "S3_ACCESS_KEY"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want a fault of %s", err, want)
		}
	}
}
