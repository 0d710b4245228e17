package main

import (
	"context"
	"errors"
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
	return sizes{rounds: 7, messages: 400_000, rows: 200_000, duration: 2 * time.Second, atRate: 6000, requests: 300}
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
	p, err := s.service(ctx, "producer", append(environ, "TOPIC="+topic, "RATE=1000000", "COUNT="+strconv.Itoa(count))...)
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

// storing needs a topic with at least count purchases.
func (s *stage) storing(purchases, sink string, count int) comparison {
	uri := "mongodb://" + sink + "/"
	return comparison{
		name: "management-api on a sink", peerName: "raw insertMany",
		ours: func(ctx context.Context) (sample, error) {
			letters, drop, err := s.topic(ctx, "letters")
			if err != nil {
				return sample{}, err
			}
			defer drop()
			p, err := s.service(ctx, "management-api", "PURCHASES_TOPIC="+purchases, "PURCHASES_DLQ_TOPIC="+letters, "GROUP_ID="+letters, "MONGO_URI="+uri)
			if err != nil {
				return sample{}, err
			}
			addr, err := p.serving()
			if err != nil {
				return sample{}, err
			}
			return drained(ctx, p, addr, "purchases_stored_total", count)
		},
		peer:  s.ofPeer("insert", "-mongo", uri, "-topic", "purchases", "-count", strconv.Itoa(count)),
		goals: []goal{{"purchases", "/s", rate, atLeast, .5}, {"CPU a purchase", "µs", cpu, atMost, 2}},
	}
}

// server is web-server or the no-op handler, while it runs.
type server struct {
	*process
	addr string
	stop func() error
	// topic is where each acknowledged purchase must be; the no-op handler has none.
	topic string
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
	return &server{p, addr, func() error { defer drop(); return p.stop() }, topic}, err
}

func (s *stage) noop(ctx context.Context) (*server, error) {
	p, err := s.part(ctx, "noop")
	if err != nil {
		return nil, err
	}
	addr, err := p.line()
	p.drain()
	return &server{p, addr, p.stop, ""}, err
}

func (s *stage) buying(clients int, duration time.Duration) comparison {
	hammer := func(open func(context.Context) (*server, error)) entrant {
		return func(ctx context.Context) (sample, error) {
			server, err := open(ctx)
			if err != nil {
				return sample{}, err
			}
			defer func() { _ = server.stop() }()
			warm, _, err := closedLoop(ctx, server.addr, clients, duration/4)
			if err != nil {
				return sample{}, err
			}
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
			if err := s.holds(ctx, server.topic, warm+buys); err != nil {
				return sample{}, err
			}
			return sample{Rate: float64(buys) / took.Seconds(), CPU: (after - before).Seconds() * 1e6 / float64(buys)}, nil
		}
	}
	return comparison{
		name: fmt.Sprintf("buy, %d clients", clients), peerName: "no-op gin handler",
		ours: hammer(s.webServer), peer: hammer(s.noop),
		goals: []goal{{"buys", "/s", rate, atLeast, .65}, {"CPU a buy", "µs", cpu, atMost, 1 / .65}},
	}
}

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
			const connections = 128
			if _, err := openLoop(ctx, server.addr, connections, connections, perSecond); err != nil { // warms up
				return sample{}, err
			}
			latencies, err := openLoop(ctx, server.addr, connections, count, perSecond)
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
				err = together(ctx, addr, 1, func(_ int, s *shopper) error { return s.buy() })
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
				p, err := s.part(ctx, "produce", "-servers", s.servers, "-topic", topic)
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

// reading needs a topic with messages.
func (s *stage) reading(topic string, requests int) comparison {
	const limit = "100"
	return comparison{
		name: "/messages?limit=" + limit, peerName: "warm raw fetch",
		ours: func(ctx context.Context) (sample, error) {
			p, err := s.service(ctx, "api")
			if err != nil {
				return sample{}, err
			}
			addr, err := p.serving()
			if err == nil {
				err = ready(ctx, addr)
			}
			if err != nil {
				return sample{}, err
			}
			var latencies []float64
			var before time.Duration
			for i := range requests + 1 {
				if i == 1 { // the first connects to the brokers
					if before, err = p.processorTimeSoFar(); err != nil {
						return sample{}, err
					}
				}
				asked := time.Now()
				if _, err := get(ctx, "http://"+addr+"/messages?topic="+topic+"&limit="+limit); err != nil {
					return sample{}, err
				}
				if i > 0 {
					latencies = append(latencies, time.Since(asked).Seconds()*1000)
				}
			}
			after, err := p.processorTimeSoFar()
			if err = errors.Join(err, p.stop()); err != nil {
				return sample{}, err
			}
			return sample{P50: quantile(latencies, .5), P99: quantile(latencies, .99), CPU: (after - before).Seconds() * 1e6 / float64(requests)}, nil
		},
		peer:  s.ofPeer("last", "-servers", s.servers, "-topic", topic, "-limit", limit, "-count", strconv.Itoa(requests)),
		goals: []goal{{"p50", "ms", p50, atMost, 1.3}, {"CPU a request", "µs", cpu, atMost, 1.3}},
	}
}
