package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// managementAPI starts a member of a group that stores a topic's purchases in a database.
func (s *stage) managementAPI(ctx context.Context, purchases, group, uri string) (*process, string, error) {
	p, err := s.service(ctx, "management-api", "PURCHASES_TOPIC="+purchases, "PURCHASES_DLQ_TOPIC="+group, "GROUP_ID="+group, "MONGO_URI="+uri)
	if err != nil {
		return nil, "", err
	}
	addr, err := p.serving()
	return p, addr, err
}

// stores lets one member store count purchases, until a counter says so.
func (s *stage) stores(purchases, uri, counter string, count int) entrant {
	return func(ctx context.Context) (sample, error) {
		group, drop, err := s.topic(ctx, "letters")
		if err != nil {
			return sample{}, err
		}
		defer drop()
		p, addr, err := s.managementAPI(ctx, purchases, group, uri)
		if err != nil {
			return sample{}, err
		}
		return drained(ctx, p, addr, counter, count)
	}
}

// storing needs a topic with at least count purchases.
func (s *stage) storing(purchases, sink string, count int) comparison {
	return comparison{
		name: "management-api on a sink", peerName: "raw insertMany",
		ours:  s.stores(purchases, sink, "purchases_stored_total", count),
		peer:  s.ofPeer("insert", "-mongo", sink, "-topic", "purchases", "-count", strconv.Itoa(count)),
		goals: []goal{{"purchases", "/s", rate, atLeast, .5}, {"CPU a purchase", "µs", cpu, atMost, 2}},
	}
}

// storingAgain compares purchases that the database has already with new ones: by CPU time alone, since each is
// answered with an error of 250 bytes, and what that takes the server isn't the service's.
func (s *stage) storingAgain(purchases, sink, full string, count int) comparison {
	return comparison{
		name: "management-api, all stored already", peerName: "itself, all new", rounds: 5,
		ours:  s.stores(purchases, full, "purchases_duplicate_total", count),
		peer:  s.stores(purchases, sink, "purchases_stored_total", count),
		goals: []goal{{"CPU a purchase", "µs", cpu, atMost, 1.25}},
	}
}

// joining compares several members with one, on a database that takes a time for each row.
func (s *stage) joining(n int, purchases, slow string, share float64) comparison {
	const duration = 3 * time.Second // some batches of each member
	return comparison{
		name: fmt.Sprintf("%d members, 1 ms of I/O a row", n), peerName: "one member", rounds: 2,
		ours:  s.members(n, purchases, slow, duration),
		peer:  s.members(1, purchases, slow, duration),
		goals: []goal{{"purchases", "/s", rate, atLeast, share}},
	}
}

// members lets n members store purchases for a time.
func (s *stage) members(n int, purchases, uri string, duration time.Duration) entrant {
	return func(ctx context.Context) (total sample, err error) {
		group, drop, err := s.topic(ctx, "letters")
		if err != nil {
			return sample{}, err
		}
		defer drop()
		addrs := make([]string, n)
		for i := range addrs {
			p, addr, err := s.managementAPI(ctx, purchases, group, uri)
			if err != nil {
				return sample{}, err
			}
			defer func() { err = errors.Join(err, p.stop()) }()
			addrs[i] = addr
		}
		stored := func() ([]int, error) {
			counts := make([]int, n)
			for i, addr := range addrs {
				if counts[i], err = counter(ctx, addr, "purchases_stored_total"); err != nil {
					return nil, err
				}
			}
			return counts, nil
		}
		err = await(ctx, fmt.Sprintf("all of %d members store purchases", n), 25*time.Millisecond, func() (bool, error) {
			counts, err := stored()
			for _, c := range counts {
				if c == 0 {
					return false, err
				}
			}
			return true, err
		})
		if err != nil {
			return sample{}, err
		}
		// A member's rate is counted from the end of one batch to that of another.
		edges := make([]edges, n)
		began := time.Now()
		err = await(ctx, "the time is over", 25*time.Millisecond, func() (bool, error) {
			counts, err := stored()
			now := time.Now()
			for i, c := range counts {
				edges[i].see(c, now)
			}
			return now.Sub(began) >= duration, err
		})
		for i := range edges {
			total.Rate += edges[i].rate()
		}
		return total, err
	}
}

// edges are the first and the last time at which a counter was seen to have grown.
type edges struct {
	seen        int
	first, last struct {
		at time.Time
		n  int
	}
}

func (e *edges) see(n int, now time.Time) {
	if e.seen > 0 && n > e.seen {
		e.last.at, e.last.n = now, n
		if e.first.n == 0 {
			e.first = e.last
		}
	}
	e.seen = n
}

// rate is per second; 0 if the counter grew less than twice.
func (e *edges) rate() float64 {
	took := e.last.at.Sub(e.first.at).Seconds()
	if took == 0 {
		return 0
	}
	return float64(e.last.n-e.first.n) / took
}
