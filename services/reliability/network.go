package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"shopstream/services/reliability/cluster"
)

// network stands between the services and what they need: each broker
// advertises a proxy of its own, and the database has one. They can delay,
// stall and cut what passes.
type network struct {
	mu       sync.Mutex
	proxies  []*proxy // of the brokers
	database *proxy
}

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

func newNetwork() *network { return &network{} }

func (p *proxy) listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening a proxy: %w", err)
	}
	p.listener, p.addr, p.pairs = l, l.Addr().String(), map[net.Conn]net.Conn{}
	return nil
}

// advertise gives node its proxy's address. The proxy opens later, in open.
func (n *network) advertise(node int, real string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.proxies) <= node {
		n.proxies = append(n.proxies, &proxy{})
	}
	p := n.proxies[node]
	if p.listener == nil && p.listen() != nil {
		return real // open reports it
	}
	return p.addr
}

func (n *network) open(c *cluster.Cluster) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.proxies) != c.Nodes() {
		return fmt.Errorf("opening the network: %d proxies for %d brokers", len(n.proxies), c.Nodes())
	}
	for i, p := range n.proxies {
		if p.listener == nil {
			return fmt.Errorf("opening the network: no port for broker %d", i)
		}
		p.target = c.Address(i)
		go p.serve()
	}
	return nil
}

// openDatabase puts a proxy before the database and returns the URI for the
// services.
func (n *network) openDatabase(target string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.database = &proxy{target: target}
	if err := n.database.listen(); err != nil {
		return "", err
	}
	go n.database.serve()
	return "mongodb://" + n.database.addr + "/?directConnection=true", nil
}

func (n *network) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.proxies
	if n.database != nil {
		all = append(all, n.database)
	}
	for _, p := range all {
		if p.listener != nil {
			_ = p.listener.Close()
		}
		p.cut()
	}
}

// broker is the proxy of a node.
func (n *network) broker(node int) *proxy {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proxies[node]
}

// each applies a change to every broker's proxy.
func (n *network) each(change func(*proxy)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.proxies {
		change(p)
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
			_ = client.Close() // the broker is down, and so looks its proxy
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

// wait holds a piece of traffic back for as long as the fault says.
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

// slow delays each piece of traffic by about d.
func (p *proxy) slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// resend is what a lost packet costs: TCP sends it again after a while, and all
// behind it waits.
const resend = 400 * time.Millisecond

// lose loses that share of the pieces of traffic.
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

// cut breaks all open connections, in the middle of whatever they carry.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for client, server := range p.pairs {
		if tcp, ok := client.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, as from a machine that is gone
		}
		_ = client.Close()
		_ = server.Close()
	}
}
