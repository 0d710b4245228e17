package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"shopstream/services/dev/reliability/cluster"
)

// network is between the brokers and everyone who connects to them, including the other
// brokers, and in front of the database. Each way has a proxy that can delay, stall and cut
// traffic.
type network struct {
	mu       sync.Mutex
	ways     map[way]*proxy // to brokers
	database *proxy
	fault    error
}

// way is a connection from a client or node, as in cluster.Options.Route, to a node.
type way struct{ from, to int }

type proxy struct {
	addr   string // where clients connect
	target string

	mu       sync.Mutex
	listener net.Listener
	pairs    map[net.Conn]net.Conn
	delay    time.Duration
	loss     float64
	stalled  bool
	refuse   bool
}

func newNetwork() *network { return &network{ways: map[way]*proxy{}} }

// open opens a proxy to a target.
func open(target string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening a proxy: %w", err)
	}
	p := &proxy{addr: l.Addr().String(), target: target, listener: l, pairs: map[net.Conn]net.Conn{}}
	go p.serve()
	return p, nil
}

// route returns the proxy's address for a way.
func (n *network) route(from, to int, real string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, ok := n.ways[way{from, to}]
	if !ok {
		var err error
		if p, err = open(real); err != nil {
			n.fault = err
			return real
		}
		n.ways[way{from, to}] = p
	}
	return p.addr
}

// failed returns why a proxy is missing.
func (n *network) failed() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fault
}

// openDatabase opens a proxy to the database and returns the URI for the services.
func (n *network) openDatabase(target string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var err error
	if n.database, err = open(target); err != nil {
		return "", err
	}
	return "mongodb://" + n.database.addr + "/?directConnection=true", nil
}

func (n *network) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.ways {
		p.close()
	}
	if n.database != nil {
		n.database.close()
	}
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.cut()
}

// broker returns the clients' way to a node.
func (n *network) broker(node int) *proxy {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ways[way{cluster.Clients, node}]
}

// each applies a change to the clients' ways to all brokers.
func (n *network) each(change func(*proxy)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for w, p := range n.ways {
		if w.from == cluster.Clients {
			change(p)
		}
	}
}

// part stalls all ways from the other nodes to a node, and its own to their controllers.
// What it fetches from other brokers still passes, because all brokers connect to a broker
// by the same way.
func (n *network) part(node int, on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for w, p := range n.ways {
		if w.from != cluster.Clients && (w.from == node || w.to == node) {
			p.stall(on)
		}
	}
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		refuse := p.refuse
		p.mu.Unlock()
		if refuse {
			_ = client.Close()
			continue
		}
		server, err := net.DialTimeout("tcp", p.target, 2*time.Second)
		if err != nil {
			_ = client.Close() // the broker is down, so its proxy closes the connection too
			continue
		}
		p.mu.Lock()
		p.pairs[client] = server
		p.mu.Unlock()
		go p.pipe(server, client)
		go p.pipe(client, server)
	}
}

func (p *proxy) pipe(to, from net.Conn) {
	defer func() {
		_ = to.Close()
		_ = from.Close()
		p.mu.Lock()
		delete(p.pairs, from)
		delete(p.pairs, to)
		p.mu.Unlock()
	}()
	buffer := make([]byte, 64<<10)
	for {
		count, err := from.Read(buffer)
		if count > 0 {
			p.wait()
			if _, err := to.Write(buffer[:count]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// wait delays traffic for as long as the fault requires.
func (p *proxy) wait() {
	for {
		p.mu.Lock()
		delay, loss, stalled := p.delay, p.loss, p.stalled
		p.mu.Unlock()
		if !stalled {
			if delay > 0 {
				time.Sleep(delay/2 + rand.N(delay))
			}
			if rand.Float64() < loss {
				time.Sleep(resend)
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// slow delays all traffic by about d.
func (p *proxy) slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// resend is the cost of a lost packet: TCP sends it again after a while, and everything
// after it waits.
const resend = 400 * time.Millisecond

// lose loses the given share of the traffic.
func (p *proxy) lose(share float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loss = share
}

// stall holds all traffic back: connections stay open and nothing arrives.
func (p *proxy) stall(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = on
}

// shut refuses new connections and cuts the open ones.
func (p *proxy) shut(on bool) {
	p.mu.Lock()
	p.refuse = on
	p.mu.Unlock()
	if on {
		p.cut()
	}
}

// cut breaks all open connections, whatever they are transferring.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for client, server := range p.pairs {
		if tcp, ok := client.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, as after a machine has failed
		}
		_ = client.Close()
		_ = server.Close()
	}
}
