package lifecycle_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"shopstream/services/internal/lifecycle"
)

type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, s)
}

// slow works until told to stop and then takes a while to finish.
func slow(j *journal, name string) lifecycle.Actor {
	return lifecycle.Actor{
		Name: name,
		Stop: func(context.Context) { j.add("stop " + name) },
		Run: func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(20 * time.Millisecond)
			j.add("finished " + name)
			return nil
		},
	}
}

func TestActorsStopOneAfterTheOther(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	j := &journal{}
	time.AfterFunc(20*time.Millisecond, cancel)

	if err := lifecycle.Run(ctx, slog.New(slog.NewTextHandler(io.Discard, nil)), time.Second, slow(j, "http"), slow(j, "consumer"), slow(j, "producer")); err != nil {
		t.Fatal(err)
	}
	want := []string{"stop http", "finished http", "stop consumer", "finished consumer", "stop producer", "finished producer"}
	if !slices.Equal(j.lines, want) {
		t.Errorf("order = %v, want %v", j.lines, want)
	}
}

func TestAFailingActorStopsTheRestAndIsNamed(t *testing.T) {
	j := &journal{}
	broken := lifecycle.Actor{Name: "broken", Run: func(context.Context) error { return errors.New("no disk") }}
	err := lifecycle.Run(t.Context(), slog.New(slog.NewTextHandler(io.Discard, nil)), time.Second, slow(j, "http"), broken)
	if err == nil || !strings.Contains(err.Error(), "broken: no disk") {
		t.Errorf("err = %v", err)
	}
	if !slices.Contains(j.lines, "finished http") {
		t.Error("the healthy actor was not stopped")
	}
}

// A service must not end with status 0 because one of its parts gave up silently.
func TestAnActorThatStopsUnaskedIsAFault(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	quits := lifecycle.Actor{Name: "consumer", Run: func(context.Context) error { return nil }}
	err := lifecycle.Run(t.Context(), log, time.Second, slow(&journal{}, "http"), quits)
	if !errors.Is(err, lifecycle.ErrUnexpected) || err.Error() != "consumer: stopped unexpectedly" {
		t.Errorf("err = %v", err)
	}
}

func TestAnActorThatHasFinishedEndsTheService(t *testing.T) {
	j := &journal{}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	finishes := lifecycle.Actor{Name: "generator", Run: func(context.Context) error { return lifecycle.ErrFinished }}
	if err := lifecycle.Run(t.Context(), log, time.Second, slow(j, "http"), finishes); err != nil {
		t.Error(err)
	}
	if !slices.Contains(j.lines, "finished http") {
		t.Error("the other actor was not stopped")
	}
}

func TestAnActorThatHangsIsAbandonedAfterTheBound(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	hang := lifecycle.Actor{Name: "hang", Run: func(context.Context) error { select {} }}
	start := time.Now()
	err := lifecycle.Run(ctx, slog.New(slog.NewTextHandler(io.Discard, nil)), 50*time.Millisecond, hang)
	if !errors.Is(err, lifecycle.ErrStopTimeout) || time.Since(start) > 5*time.Second {
		t.Errorf("err = %v after %v", err, time.Since(start))
	}
}
