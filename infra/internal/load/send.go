package load

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	connections = 256    // to the shop; a purchase that waits for a free one is measured with its wait
	maxWaiting  = 20_000 // purchases without an answer; beyond that, purchases are counted as unsent
	buyers      = 50
	followRate  = 5 // purchases per second that are polled until they are stored
	followFor   = 2 * time.Minute
	maxFollowed = 20 // at a time, so that polling doesn't slow down a shop that is catching up
)

// sender sends purchases in an open loop: each when it is due, whether or not earlier ones were answered, so that a shop that
// stalls doesn't slow the load down, and the stall is visible in the results. Latency is measured from when a purchase was
// due, since a shopper would have waited from then on. (vegeta measures from when a worker was free to send, so its library
// isn't used.)
type sender struct {
	shop    client
	run     string // part of the buyers' names, unique for each run
	waiting sync.WaitGroup

	mu    sync.Mutex
	tally []Tally // by phase
	acks  []ack
	acked map[string]int // numbers of the acknowledged purchases, by event
	last  []time.Time    // when the last purchase was acknowledged, by phase
	open  int            // purchases without an answer yet
	polls int            // purchases that are being followed
	total int
}

// Tally counts the outcomes of a phase's purchases.
type Tally struct {
	Due      int // those that the rate requires
	Acked    int
	Refused  int             // answered 503 or 429
	Failed   int             // any other answer
	NoAnswer int             // timeouts and connection errors
	Unsent   int             // not sent, since maxWaiting were without an answer
	Late     []time.Duration // from due to sent
	Latency  []time.Duration // from due to acknowledged
	EndToEnd []time.Duration // from due to stored, for those that were followed
	Gap      time.Duration   // the longest time without an acknowledgement
}

// ack is one acknowledged purchase: when it was due, and how long after that it was answered and stored. stored is 0 unless it
// was followed.
type ack struct {
	due, answered, stored time.Duration
}

func newSender(shop client, run string, phases int) *sender {
	return &sender{shop: shop, run: run, tally: make([]Tally, phases), last: make([]time.Time, phases), acked: map[string]int{}}
}

func (s *sender) buyer(number int) string { return fmt.Sprintf("load-%s-%d", s.run, number%buyers) }

// send sends a phase's purchases; answers may come later. If the context ends, no more are sent, but those in flight go on.
func (s *sender) send(ctx context.Context, phase int, p Phase, origin time.Time) {
	start := time.Now()
	s.mu.Lock()
	s.last[phase] = start
	s.mu.Unlock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	follow := max(1, int(p.Rate)/followRate)
	for i := 0; ; i++ {
		offset := time.Duration(float64(i) / p.Rate * float64(time.Second))
		if offset >= p.For {
			return
		}
		due := start.Add(offset)
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return
		}
		number, ok := s.begin(phase)
		if !ok {
			continue
		}
		s.waiting.Go(func() { s.one(context.WithoutCancel(ctx), phase, number, origin, due, i%follow == 0) })
	}
}

// begin counts a purchase that is due, and numbers it from 1 if it may be sent.
func (s *sender) begin(phase int) (number int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally[phase].Due++
	if s.open >= maxWaiting {
		s.tally[phase].Unsent++
		return 0, false
	}
	s.open++
	s.total++
	return s.total, true
}

func (s *sender) one(ctx context.Context, phase, number int, origin, due time.Time, follow bool) {
	late := time.Since(due)
	event, status := s.shop.buy(ctx, s.buyer(number), number)
	took := time.Since(due)
	s.mu.Lock()
	t := &s.tally[phase]
	s.open--
	t.Late = append(t.Late, late)
	at := -1
	// Those that are not acknowledged count too, or a shop that doesn't come back would have no gap.
	t.Gap = max(t.Gap, due.Sub(s.last[phase]))
	switch {
	case event != "":
		t.Acked++
		if now := due.Add(took); now.After(s.last[phase]) {
			t.Gap = max(t.Gap, now.Sub(s.last[phase]))
			s.last[phase] = now
		}
		t.Latency = append(t.Latency, took)
		s.acked[event] = number
		at = len(s.acks)
		s.acks = append(s.acks, ack{due: due.Sub(origin), answered: took})
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		t.Refused++
	case status == 0:
		t.NoAnswer++
	default:
		t.Failed++
	}
	if follow = follow && at >= 0 && s.polls < maxFollowed; follow {
		s.polls++
	}
	s.mu.Unlock()
	if follow {
		go func() {
			s.follow(ctx, phase, at, event, due)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.polls--
		}()
	}
}

// follow polls until a purchase is stored. If that takes too long, only the audit finds out.
func (s *sender) follow(ctx context.Context, phase, at int, event string, due time.Time) {
	ctx, cancel := context.WithTimeout(ctx, followFor)
	defer cancel()
	for pause := 20 * time.Millisecond; ctx.Err() == nil; pause = min(pause*5/4, 250*time.Millisecond) {
		if s.shop.stored(ctx, event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.acks[at].stored = time.Since(due)
			s.tally[phase].EndToEnd = append(s.tally[phase].EndToEnd, s.acks[at].stored)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// since returns the purchases that were acknowledged since a moment, and how many have no answer yet.
func (s *sender) since(moment time.Duration) (acks []ack, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.acks) - 1; i >= 0 && s.acks[i].due+s.acks[i].answered >= moment-requestTimeout; i-- {
		if s.acks[i].due+s.acks[i].answered >= moment {
			acks = append(acks, s.acks[i])
		}
	}
	return acks, s.open
}
