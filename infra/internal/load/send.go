package load

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	connections = 256    // to the shop; a purchase that finds none free waits, and the wait counts
	maxWaiting  = 20_000 // purchases without an answer; further ones are not sent, and counted
	buyers      = 50
	followRate  = 5 // purchases a second that are followed until they are stored
	followFor   = 2 * time.Minute
	maxFollowed = 20 // at a time: a shop that is behind must not be kept from catching up by questions
)

// sender sends purchases in an open loop: each when it is due, whether or not those before it were answered, so that a stall of
// the shop shows in the numbers and does not slow the load. Times are counted from when a purchase was due: the time that it
// waited on this machine is part of what a shopper would have waited. (The library of vegeta counts from when a worker was
// free to send, and gave no reason to have it for the rest.)
type sender struct {
	shop    client
	run     string // names the buyers of this run
	waiting sync.WaitGroup

	mu    sync.Mutex
	tally []Tally // by phase
	acks  []ack
	ids   map[string]int // the numbers of what was acknowledged, by event
	open  int            // purchases without an answer yet
	asked int            // purchases that are followed now
	total int
}

// Tally is what became of a phase's purchases.
type Tally struct {
	Due      int // what the rate asks for
	Acked    int
	Refused  int             // 503 or 429: not acknowledged, and said so
	Failed   int             // any other answer
	Cut      int             // no answer
	Unsent   int             // maxWaiting were waiting already
	Late     []time.Duration // how long after it was due each was sent
	Latency  []time.Duration // from due to acknowledged
	EndToEnd []time.Duration // from due to stored, of those that were followed
}

// ack is one acknowledged purchase on the plot; stored is 0 unless it was followed.
type ack struct {
	due, answered, stored time.Duration
}

func newSender(shop client, run string, phases int) *sender {
	return &sender{shop: shop, run: run, tally: make([]Tally, phases), ids: map[string]int{}}
}

func (s *sender) buyer(number int) string { return fmt.Sprintf("load-%s-%d", s.run, number%buyers) }

// send sends a phase's purchases until it is over; answers may come later. The context ends the sending, not what was sent.
func (s *sender) send(ctx context.Context, phase int, p Phase, origin time.Time) {
	start := time.Now()
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
	switch {
	case event != "":
		t.Acked++
		t.Latency = append(t.Latency, took)
		s.ids[event] = number
		at = len(s.acks)
		s.acks = append(s.acks, ack{due: due.Sub(origin), answered: took})
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		t.Refused++
	case status == 0:
		t.Cut++
	default:
		t.Failed++
	}
	if follow = follow && at >= 0 && s.asked < maxFollowed; follow {
		s.asked++
	}
	s.mu.Unlock()
	if follow {
		go func() {
			s.follow(ctx, phase, at, event, due)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.asked--
		}()
	}
}

// follow waits until a purchase is stored. One that isn't in time is left to the audit.
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

// since returns the acknowledged purchases from a moment on, and how many are waiting for their answer.
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
