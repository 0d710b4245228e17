package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/retry"
)

// One of two members is killed at 500 records a second: the other one takes its
// partitions over, and catches up.
func TestAKilledMemberIsReplaced(t *testing.T) {
	stages := stages{manifest: manifestOrSkip(t), bin: buildServices(t)}
	t.Cleanup(stages.discard)
	s := stages.take(t)
	var table strings.Builder
	for _, protocol := range []string{"classic", "consumer"} {
		for _, m := range []struct{ service, group, topic string }{
			{"management-api", "management-api-group", "purchases"},
			{"consumer", "consumer-service-group", "orders"},
		} {
			t.Run(m.service+", "+protocol, func(t *testing.T) {
				v := startPair(t, s, m.service, protocol, m.topic)
				for range 3 {
					taken, caughtUp := v.kill(t, m.group)
					fmt.Fprintf(&table, "| %s | %s | %s | %s |\n", m.service, protocol, taken.Round(100*time.Millisecond), (caughtUp - taken).Round(100*time.Millisecond))
				}
			})
		}
	}
	t.Logf("consumed again, and caught up after that:\n%s", table.String())
}

// pair is two members of a group under load.
type pair struct {
	stage         *stage
	admin         *kadm.Client
	topic         string
	first, second string
}

func startPair(t *testing.T, s *stage, service, protocol, topic string) *pair {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.auditor.servers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	p := &pair{stage: s, admin: kadm.NewClient(client), topic: topic, first: service + "-first", second: service + "-second"}
	for _, name := range []string{p.first, p.second} {
		if err := s.platform.start(name, service, "KAFKA_GROUP_PROTOCOL="+protocol, "TRANSACTIONAL_ID="+name); err != nil {
			t.Fatal(err)
		}
		if err := s.platform.awaitReady(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	// Its protocol is the default: the group has members of both while they change.
	if err := s.platform.end(service, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.platform.start("producer", "producer", "RATE=500", "TOPIC="+topic); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.platform.restart(service); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"producer", p.first, p.second} {
			if err := s.platform.end(name, syscall.SIGTERM); err != nil {
				t.Error(err)
			}
		}
	})
	return p
}

// kill kills the first member, and returns how long it takes until each of its partitions
// is consumed again, and until there is no backlog. Then it starts the member again.
func (p *pair) kill(t *testing.T, group string) (taken, caughtUp time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var theirs []int32
	p.await(ctx, t, "both members have partitions and keep up", func() bool {
		theirs = p.stage.platform.assigned(ctx, p.first)
		return len(theirs) > 0 && len(p.stage.platform.assigned(ctx, p.second)) > 0 && p.lag(ctx, group) < 250
	})
	at := time.Now()
	if err := p.stage.platform.end(p.first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ends, err := p.admin.ListEndOffsets(ctx, p.topic)
	if err != nil {
		t.Fatal(err)
	}
	p.await(ctx, t, "its partitions are consumed again", func() bool {
		committed, err := p.admin.FetchOffsets(ctx, group)
		return err == nil && !slices.ContainsFunc(theirs, func(partition int32) bool {
			end, _ := ends.Lookup(p.topic, partition)
			offset, _ := committed.Lookup(p.topic, partition)
			return offset.At < end.Offset
		})
	})
	taken = time.Since(at)
	p.await(ctx, t, "the backlog is gone", func() bool { return p.lag(ctx, group) < 250 })
	caughtUp = time.Since(at)
	t.Logf("consumed again after %s, caught up after %s", taken, caughtUp)
	if err := p.stage.platform.restart(p.first); err != nil {
		t.Fatal(err)
	}
	return taken, caughtUp
}

func (p *pair) await(ctx context.Context, t *testing.T, what string, holds func() bool) {
	t.Helper()
	for !holds() {
		if !retry.Sleep(ctx, 50*time.Millisecond) {
			t.Fatalf("it did not happen in time that %s", what)
		}
	}
}

// lag is how many records of the topic the group has not committed; a lot if that can't
// be told.
func (p *pair) lag(ctx context.Context, group string) (lag int64) {
	ends, err := p.admin.ListEndOffsets(ctx, p.topic)
	committed, too := p.admin.FetchOffsets(ctx, group)
	if err != nil || too != nil {
		return 1 << 60
	}
	ends.Each(func(end kadm.ListedOffset) {
		offset, _ := committed.Lookup(end.Topic, end.Partition)
		lag += end.Offset - max(offset.At, 0)
	})
	return lag
}
