package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// The same with an object store: dump, drill, retention, and an interrupted upload.
func TestBucket(t *testing.T) {
	store := s3mem.New()
	if err := store.CreateBucket("dumps"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(gofakes3.New(store).Server())
	defer server.Close()
	dumps, err := newBucket(s3Config{Endpoint: server.URL, Bucket: "dumps", Prefix: "shop/", Region: "us-east-1", AccessKey: "key", SecretKey: "secret"}, server.Client().Transport)
	if err != nil {
		t.Fatal(err)
	}
	s := newShop(t)
	s.dumps = dumps
	s.buy(t, 0, 3000)
	for range 5 {
		s.mustDump(t)
	}
	if err := s.drill(t.Context()); err != nil {
		t.Error(err)
	}
	var want []string
	for day := 4; day <= 6; day++ {
		name := nameOf(time.Date(2026, 11, day, 2, 30, 0, 0, time.UTC))
		want = append(want, name+dataSuffix, name+manifestSuffix)
	}
	if got := s.files(t); !slices.Equal(got, want) {
		t.Errorf("objects\n%v, want\n%v", got, want)
	}

	s.day++
	s.cfg.Mongo.Collection = "" // an invalid name
	if err := s.dump(t.Context()); err == nil {
		t.Error("a dump of no collection succeeds")
	}
	if got := s.files(t); !slices.Equal(got, want) {
		t.Errorf("objects after a dump that failed\n%v, want\n%v as before", got, want)
	}
	if err := s.restore(t.Context(), "purchases-20250101T000000Z", "other"); err == nil || strings.Contains(err.Error(), "broken") {
		t.Errorf("restoring a dump that isn't there: %v, want that it isn't", err)
	}
	dumps.cfg.Bucket = "elsewhere"
	if err := s.dump(t.Context()); err == nil || !strings.Contains(err.Error(), `"elsewhere"`) {
		t.Errorf("dumping to no bucket: %v, want its name", err)
	}
}

// refusing answers that the credential may not read objects.
type refusing struct{ http.RoundTripper }

func (r refusing) RoundTrip(request *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(request.URL.Path, manifestSuffix) {
		return r.RoundTripper.RoundTrip(request)
	}
	return &http.Response{StatusCode: http.StatusForbidden, Status: "403 Forbidden", Header: http.Header{}, Body: http.NoBody, Request: request}, nil
}

// A manifest that may not be read isn't broken: nobody should delete the dump.
func TestACredentialThatMayNotReadIsNamed(t *testing.T) {
	store := s3mem.New()
	if err := store.CreateBucket("dumps"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(gofakes3.New(store).Server())
	defer server.Close()
	cfg := s3Config{Endpoint: server.URL, Bucket: "dumps", Region: "us-east-1", AccessKey: "key", SecretKey: "secret"}
	s := newShop(t)
	s.buy(t, 0, 10)
	var err error
	if s.dumps, err = newBucket(cfg, server.Client().Transport); err != nil {
		t.Fatal(err)
	}
	m := s.mustDump(t)
	if s.dumps, err = newBucket(cfg, refusing{server.Client().Transport}); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"drill": s.drill(t.Context()), "dump": s.dump(t.Context()), "restore": s.restore(t.Context(), m.Name, "other"),
	} {
		if err == nil || !strings.Contains(err.Error(), "Access Denied") || strings.Contains(err.Error(), "delete") {
			t.Errorf("%s: %v, want what may not be done", name, err)
		}
	}
}
