// Package netpol turns one list of calls (who opens connections to whom, on which port) into network policies. Each call
// gives both halves: the caller may send and the callee may receive.
package netpol

import (
	"cmp"
	"maps"
	"slices"
)

// Peer is one end of a call: pods, or addresses outside of the cluster.
type Peer struct {
	Name string

	// Namespace and Labels select pods; no labels means every pod of the namespace.
	Namespace string
	Labels    map[string]string

	// Addresses are CIDR blocks, for a peer that is not a pod. A peer with neither namespace nor addresses can be anywhere:
	// addresses of nodes and control planes are not known in advance in every cluster, so only the port is restricted.
	Addresses []string
}

// Port is a port of the callee's pod (not of a Service: policies apply after address translation).
type Port struct {
	Number   int
	Protocol string // TCP when empty
}

// TCP returns TCP ports.
func TCP(numbers ...int) []Port {
	ports := make([]Port, 0, len(numbers))
	for _, n := range numbers {
		ports = append(ports, Port{Number: n, Protocol: "TCP"})
	}
	return ports
}

// Call says that From opens connections to To on Ports, and why.
type Call struct {
	From, To Peer
	Ports    []Port
	Why      string
}

// Graph is every call of the platform. Only closed namespaces get policies; other namespaces are left to their owners.
type Graph struct {
	Closed []string
	Calls  []Call
}

// Rule allows a peer on some ports.
type Rule struct {
	Peer  Peer
	Ports []Port
}

// Policy is everything that one peer may receive and send.
type Policy struct {
	Name      string
	Namespace string
	Labels    map[string]string
	Ingress   []Rule
	Egress    []Rule
}

// Policies returns one policy for each peer in a closed namespace, sorted by namespace and name.
func (g Graph) Policies() []Policy {
	byPeer := map[string]*Policy{}
	policy := func(p Peer) *Policy {
		key := p.Namespace + "/" + p.Name
		if byPeer[key] == nil {
			byPeer[key] = &Policy{Name: p.Name, Namespace: p.Namespace, Labels: p.Labels}
		}
		return byPeer[key]
	}
	for _, call := range g.Calls {
		if g.closed(call.From) {
			p := policy(call.From)
			p.Egress = append(p.Egress, Rule{Peer: call.To, Ports: call.Ports})
		}
		if g.closed(call.To) {
			p := policy(call.To)
			p.Ingress = append(p.Ingress, Rule{Peer: call.From, Ports: call.Ports})
		}
	}
	policies := make([]Policy, 0, len(byPeer))
	for _, key := range slices.Sorted(maps.Keys(byPeer)) {
		policies = append(policies, *byPeer[key])
	}
	slices.SortFunc(policies, func(a, b Policy) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return policies
}

func (g Graph) closed(p Peer) bool { return slices.Contains(g.Closed, p.Namespace) }
