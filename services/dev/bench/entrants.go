package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// sizes says how much each entrant does in a round.
type sizes struct {
	rounds   int
	messages int           // of producer and consumer
	rows     int           // of management-api
	duration time.Duration // of buying as fast as possible
	atRate   int           // buys at a steady rate
	requests int           // for the last messages
}

func full() sizes {
	return sizes{rounds: 5, messages: 400_000, rows: 200_000, duration: 2 * time.Second, atRate: 6000, requests: 300}
}

func quick() sizes {
	return sizes{rounds: 3, messages: 120_000, rows: 60_000, duration: 700 * time.Millisecond, atRate: 1400, requests: 60}
}

// ofPeer turns a peer that runs to its end into an entrant.
func (s *stage) ofPeer(arguments ...string) entrant {
	return func(ctx context.Context) (sample, error) {
		m, err := s.peer(ctx, arguments...)
		if err != nil {
			return sample{}, err
		}
		n := float64(m.Messages)
		return sample{Rate: n / m.Seconds, CPU: m.CPU * 1e6 / n, P50: m.P50, P99: m.P99}, nil
	}
}

// toTopic runs an entrant that writes, with a new topic each time.
func (s *stage) toTopic(prefix string, e func(topic string) entrant) entrant {
	return func(ctx context.Context) (sample, error) {
		topic, drop, err := s.topic(ctx, prefix)
		if err != nil {
			return sample{}, err
		}
		defer drop()
		return e(topic)(ctx)
	}
}

func (s *stage) producing(count int) comparison {
	return comparison{
		name: "producer", peerName: "raw produce",
		ours: s.toTopic("orders", func(topic string) entrant {
			return func(ctx context.Context) (sample, error) { return s.producer(ctx, topic, count) }
		}),
		peer: s.toTopic("orders", func(topic string) entrant {
			return s.ofPeer("produce", "-servers", s.servers, "-topic", topic, "-count", strconv.Itoa(count))
		}),
		goals: []goal{{"events", "/s", rate, atLeast, .9}, {"CPU an event", "µs", cpu, atMost, 1.2}},
	}
}

// producer lets the producer write count events as fast as it can.
func (s *stage) producer(ctx context.Context, topic string, count int, environ ...string) (sample, error) {
	p, err := s.service(ctx, "producer", append(environ, "TOPIC="+topic, "RATE=10000000", "COUNT="+strconv.Itoa(count))...)
	if err != nil {
		return sample{}, err
	}
	if _, err := p.logged("sending", "topic"); err != nil {
		return sample{}, err
	}
	before, err := p.processorTimeSoFar()
	if err != nil {
		return sample{}, err
	}
	got, err := p.logged("finished", "rate")
	if err != nil {
		return sample{}, err
	}
	if err := p.wait(); err != nil {
		return sample{}, err
	}
	perSecond, ok := got.(float64)
	if !ok {
		return sample{}, fmt.Errorf("the producer's rate is %v", got)
	}
	return sample{Rate: perSecond, CPU: (p.processorTime() - before).Seconds() * 1e6 / float64(count)}, nil
}

// consuming needs a topic with at least count orders.
func (s *stage) consuming(orders string, count int) comparison {
	return comparison{
		name: "consumer", peerName: "bare Poll loop",
		ours: func(ctx context.Context) (sample, error) {
			totals, drop, err := s.topic(ctx, "totals")
			if err != nil {
				return sample{}, err
			}
			defer drop()
			letters, drop, err := s.topic(ctx, "letters")
			if err != nil {
				return sample{}, err
			}
			defer drop()
			p, err := s.service(ctx, "consumer", "ORDERS_TOPIC="+orders, "ORDERS_DLQ_TOPIC="+letters, "TOTALS_TOPIC="+totals,
				"GROUP_ID="+totals, "TRANSACTIONAL_ID="+totals)
			if err != nil {
				return sample{}, err
			}
			addr, err := p.serving()
			if err != nil {
				return sample{}, err
			}
			return drained(ctx, p, addr, "orders_counted_total", count)
		},
		peer:  s.ofPeer("poll", "-servers", s.servers, "-topic", orders, "-count", strconv.Itoa(count)),
		goals: []goal{{"orders", "/s", rate, atLeast, .85}, {"CPU an order", "µs", cpu, atMost, 1 / .85}},
	}
}

// server is web-server or the no-op handler, while it runs.
type server struct {
	*process
	addr string
	stop func() error
	// topic is where each acknowledged purchase must be; the no-op handler has none.
	topic  string
	bought int64
}

func (s *stage) webServer(ctx context.Context) (*server, error) {
	topic, drop, err := s.topic(ctx, "purchases")
	if err != nil {
		return nil, err
	}
	p, err := s.service(ctx, "web-server", "PURCHASES_TOPIC="+topic, "MANAGEMENT_API_URL=http://127.0.0.1:1")
	if err != nil {
		return nil, err
	}
	addr, err := p.serving()
	if err == nil {
		err = ready(ctx, addr)
	}
	return &server{process: p, addr: addr, stop: func() error { defer drop(); return p.stop() }, topic: topic}, err
}

func (s *stage) noop(ctx context.Context) (*server, error) {
	p, err := s.part(ctx, "noop")
	if err != nil {
		return nil, err
	}
	addr, err := p.line()
	p.drain()
	return &server{process: p, addr: addr, stop: p.stop}, err
}

// hammer buys on some connections for a time, each as fast as it is answered.
func (s *stage) hammer(ctx context.Context, server *server, clients int, duration time.Duration) (sample, error) {
	before, err := server.processorTimeSoFar()
	if err != nil {
		return sample{}, err
	}
	buys, took, err := closedLoop(ctx, server.addr, clients, duration)
	if err != nil {
		return sample{}, err
	}
	after, err := server.processorTimeSoFar()
	if err != nil {
		return sample{}, err
	}
	server.bought += buys
	return sample{Rate: float64(buys) / took.Seconds(), CPU: (after - before).Seconds() * 1e6 / float64(buys)}, s.holds(ctx, server.topic, server.bought)
}

func (s *stage) relay(ctx context.Context) (*server, error) {
	topic, drop, err := s.topic(ctx, "purchases")
	if err != nil {
		return nil, err
	}
	p, err := s.part(ctx, "relay", "-servers", s.servers, "-topic", topic)
	if err != nil {
		return nil, err
	}
	addr, err := p.line()
	p.drain()
	return &server{process: p, addr: addr, stop: func() error { defer drop(); return p.stop() }, topic: topic}, err
}

// buying compares with a handler that does nothing, and with one that only waits for Kafka: what gin and the
// client take by themselves is the distance between the two. Validation, event id, encoding, metrics, recovery
// and limits may take a quarter of the latter's rate.
func (s *stage) buying(clients int, duration time.Duration) []comparison {
	on := func(open func(context.Context) (*server, error)) entrant {
		return func(ctx context.Context) (sample, error) {
			server, err := open(ctx)
			if err != nil {
				return sample{}, err
			}
			defer func() { _ = server.stop() }()
			if _, err := s.hammer(ctx, server, clients, duration/4); err != nil { // warms up
				return sample{}, err
			}
			return s.hammer(ctx, server, clients, duration)
		}
	}
	against := func(peer string, open func(context.Context) (*server, error), share float64) comparison {
		return comparison{
			name: fmt.Sprintf("buy, %d clients", clients), peerName: peer,
			ours: on(s.webServer), peer: on(open),
			goals: []goal{{"buys", "/s", rate, atLeast, share}, {"CPU a buy", "µs", cpu, atMost, 1 / share}},
		}
	}
	return []comparison{against("no-op gin handler", s.noop, .65), against("gin and Produce alone", s.relay, .75)}
}

// crowding lets more and more clients buy: none may be too many. The no-op handler shows how
// much of the fall is that of the clients, which run on the same processors, and of net/http.
func (s *stage) crowding(duration time.Duration) comparison {
	on := func(open func(context.Context) (*server, error)) entrant {
		return func(ctx context.Context) (sample, error) {
			server, err := open(ctx)
			if err != nil {
				return sample{}, err
			}
			defer func() { _ = server.stop() }()
			worst, best := 1.0, 0.0
			for _, clients := range []int{1, 16, 64, 256, 1000, 2000} {
				got, err := s.hammer(ctx, server, clients, duration)
				if err != nil {
					return sample{}, err
				}
				best = max(best, got.Rate)
				worst = min(worst, got.Rate/best)
			}
			return sample{Kept: worst}, nil
		}
	}
	return comparison{
		name: "buy, 1 to 2,000 clients", peerName: "no-op gin handler", rounds: 3,
		ours: on(s.webServer), peer: on(s.noop),
		goals: []goal{{"what is left of the best rate", "", kept, noLess, .8}},
	}
}

// shoppersAtRate buy in turn at a steady rate.
const shoppersAtRate = 128

// buyingAtRate compares the latency of a buy with that of its record alone.
func (s *stage) buyingAtRate(count, perSecond int) comparison {
	return comparison{
		name: fmt.Sprintf("buy, %d/s", perSecond), peerName: "raw produce",
		ours: func(ctx context.Context) (sample, error) {
			server, err := s.webServer(ctx)
			if err != nil {
				return sample{}, err
			}
			defer func() { _ = server.stop() }()
			if _, err := openLoop(ctx, server.addr, shoppersAtRate, shoppersAtRate, perSecond); err != nil { // warms up
				return sample{}, err
			}
			latencies, err := openLoop(ctx, server.addr, shoppersAtRate, count, perSecond)
			return sample{P50: quantile(latencies, .5), P99: quantile(latencies, .99)}, err
		},
		peer: s.toTopic("purchases", func(topic string) entrant {
			return s.ofPeer("latency", "-servers", s.servers, "-topic", topic, "-linger", "0", "-count", strconv.Itoa(count), "-rate", strconv.Itoa(perSecond))
		}),
		goals: []goal{{"p50", "ms", p50, atMostAbove, 1}, {"p99", "ms", p99, atMost, 1.5}},
	}
}

// starting compares how long it takes from the start of a process to its first
// acknowledged record.
func (s *stage) starting() comparison {
	return comparison{
		name: "web-server starts", peerName: "raw produce",
		ours: func(ctx context.Context) (sample, error) {
			topic, drop, err := s.topic(ctx, "purchases")
			if err != nil {
				return sample{}, err
			}
			defer drop()
			began := time.Now()
			p, err := s.service(ctx, "web-server", "PURCHASES_TOPIC="+topic, "MANAGEMENT_API_URL=http://127.0.0.1:1")
			if err != nil {
				return sample{}, err
			}
			addr, err := p.serving()
			if err == nil {
				err = buyOnce(ctx, addr)
			}
			took := time.Since(began)
			if err != nil {
				return sample{}, err
			}
			return sample{P50: took.Seconds() * 1000}, p.stop()
		},
		peer: s.toTopic("purchases", func(topic string) entrant {
			return func(ctx context.Context) (sample, error) {
				began := time.Now()
				p, err := s.part(ctx, "first", "-servers", s.servers, "-topic", topic)
				if err != nil {
					return sample{}, err
				}
				if _, err := p.line(); err != nil {
					return sample{}, err
				}
				took := time.Since(began)
				return sample{P50: took.Seconds() * 1000}, p.wait()
			}
		}),
		goals: []goal{{"first acknowledgement", "ms", p50, atMost, 1}},
	}
}
