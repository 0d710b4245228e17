package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"shopstream/services/reliability/cluster"
)

// network stands between the services and the brokers: each broker advertises
// a proxy of its own, which can delay, stall and cut what passes.
type network struct {
	mu      sync.Mutex
	proxies []*proxy
}

type proxy struct {
	addr   string // where clients connect
	target string

	mu       sync.Mutex
	listener net.Listener
	pairs    map[net.Conn]net.Conn
	delay    time.Duration
	stalled  bool
	refuse   bool
}

func newNetwork() *network { return &network{} }

// advertise gives node its proxy's address. The proxy opens later, in open.
func (n *network) advertise(node int, real string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.proxies) <= node {
		n.proxies = append(n.proxies, &proxy{pairs: map[net.Conn]net.Conn{}})
	}
	p := n.proxies[node]
	if p.addr == "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return real // open reports it
		}
		p.listener, p.addr = l, l.Addr().String()
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

func (n *network) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.proxies {
		if p.listener != nil {
			_ = p.listener.Close()
		}
		p.cut()
	}
}

// each applies a change to every proxy.
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
		delay, stalled := p.delay, p.stalled
		p.mu.Unlock()
		if !stalled {
			if delay > 0 {
				time.Sleep(delay/2 + rand.N(delay))
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
