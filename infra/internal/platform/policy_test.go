package platform

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	policyapi "sigs.k8s.io/kube-network-policies/pkg/api"
	"sigs.k8s.io/kube-network-policies/pkg/network"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/netpol"
	"shopstream/infra/internal/plan"
)

// cluster evaluates connections by the declared policies, with an independent engine.
type cluster struct {
	engine *networkpolicy.PolicyEngine
	pods   map[string]*corev1.Pod // by address
	byName map[string]string      // address by peer
}

// GetPodInfoByIP returns the pod with an address to the engine.
func (c *cluster) GetPodInfoByIP(ip string) (*policyapi.PodInfo, bool) {
	pod, ok := c.pods[ip]
	if !ok {
		return nil, false
	}
	namespace := map[string]string{"kubernetes.io/metadata.name": pod.Namespace}
	return policyapi.NewPodInfo(pod, namespace, nil, ""), true
}

func newCluster(t *testing.T, declared resources, peers []netpol.Peer) *cluster {
	t.Helper()
	c := &cluster{pods: map[string]*corev1.Pod{}, byName: map[string]string{}}
	factory := informers.NewSharedInformerFactory(nil, 0)
	policies := factory.Networking().V1().NetworkPolicies()
	evaluator := networkpolicy.NewStandardNetworkPolicy("", factory.Core().V1().Namespaces(), factory.Core().V1().Pods(), policies)

	for _, r := range declared {
		if r.Type != "kubernetes:networking.k8s.io/v1:NetworkPolicy" {
			continue
		}
		for _, policy := range objects[networkingv1.NetworkPolicy](t, resources{r}, "NetworkPolicy") {
			if err := policies.Informer().GetStore().Add(&policy); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, peer := range peers {
		ip := fmt.Sprintf("10.244.0.%d", i+1)
		c.byName[peer.Name] = ip
		c.pods[ip] = &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: peer.Name, Namespace: peer.Namespace, Labels: peer.Labels},
			Status:     corev1.PodStatus{PodIP: ip},
		}
	}
	c.engine = networkpolicy.NewPolicyEngine(c, []policyapi.PolicyEvaluator{evaluator})
	return c
}

// outside is an address that belongs to no pod.
const outside = "203.0.113.7"

func (c *cluster) address(name string) string {
	if ip, ok := c.byName[name]; ok {
		return ip
	}
	return outside
}

func (c *cluster) allows(t *testing.T, from, to string, port netpol.Port) bool {
	t.Helper()
	protocol := corev1.ProtocolTCP
	if port.Protocol != "" {
		protocol = corev1.Protocol(port.Protocol)
	}
	allowed, err := c.engine.EvaluatePacket(t.Context(), &network.Packet{
		Family: corev1.IPv4Protocol, Proto: protocol,
		SrcIP: net.ParseIP(c.address(from)), SrcPort: 40000,
		DstIP: net.ParseIP(c.address(to)), DstPort: port.Number,
	})
	if err != nil {
		t.Fatal(err)
	}
	return allowed
}

// podPeers returns the pods that take part: those that the program declares, with their actual labels, those of the charts
// with the labels in the calls, and one without any call.
func podPeers(t *testing.T, c config.Config, declared resources) []netpol.Peer {
	t.Helper()
	var peers []netpol.Peer
	seen := map[string]bool{}
	for _, p := range podTemplates(t, declared) {
		name := p.meta.Labels["app.kubernetes.io/name"]
		seen[p.namespace+"/"+name] = true
		peers = append(peers, netpol.Peer{Name: name, Namespace: p.namespace, Labels: p.meta.Labels})
	}
	for _, call := range plan.Graph(c).Calls {
		for _, peer := range []netpol.Peer{call.From, call.To} {
			if key := peer.Namespace + "/" + peer.Name; peer.Namespace != "" && len(peer.Labels) > 0 && !seen[key] {
				seen[key] = true
				peers = append(peers, peer)
			}
		}
	}
	return append(peers, netpol.Peer{Name: "stranger", Namespace: "default", Labels: map[string]string{"app": "stranger"}})
}

// TestPoliciesAllowTheCallsAndNothingElse tests every pair of peers on every port that anything listens on.
func TestPoliciesAllowTheCallsAndNothingElse(t *testing.T) {
	eachStack(t, func(t *testing.T, stack testStack, declared resources) {
		c, _ := stack.parsed(t)
		graph := plan.Graph(c)
		peers := podPeers(t, c, declared)
		judge := newCluster(t, declared, peers)

		ports := map[netpol.Port]bool{}
		for _, call := range graph.Calls {
			for _, port := range call.Ports {
				ports[port] = true
			}
		}
		ports[netpol.Port{Number: 22, Protocol: "TCP"}] = true

		world := append(slices.Clone(peers), netpol.Peer{Name: "outside"})
		allowed := 0
		for _, from := range world {
			for _, to := range world {
				for port := range ports {
					if from.Name == to.Name {
						continue // policies don't apply to a pod's own address
					}
					want := permitted(graph, from, to, port)
					if got := judge.allows(t, from.Name, to.Name, port); got != want {
						t.Errorf("%s to %s on %s %d: allowed %v, want %v", from.Name, to.Name, port.Protocol, port.Number, got, want)
					}
					if want {
						allowed++
					}
				}
			}
		}
		if allowed == 0 {
			t.Error("nothing is allowed at all")
		}
	})
}

// permitted says what the calls allow: if the caller is in a closed namespace, it needs a call to the callee, and if the
// callee is, it needs a call from the caller.
func permitted(graph netpol.Graph, from, to netpol.Peer, port netpol.Port) bool {
	covers := func(declared, actual netpol.Peer) bool {
		switch {
		case len(declared.Addresses) > 0:
			return false
		case declared.Namespace == "":
			return true
		case declared.Namespace != actual.Namespace:
			return false
		}
		for key, value := range declared.Labels {
			if actual.Labels[key] != value {
				return false
			}
		}
		return true
	}
	sends, receives := !slices.Contains(graph.Closed, from.Namespace), !slices.Contains(graph.Closed, to.Namespace)
	for _, call := range graph.Calls {
		if !slices.Contains(call.Ports, port) || !covers(call.From, from) || !covers(call.To, to) {
			continue
		}
		sends = sends || !outsidePeer(call.From)
		receives = receives || !outsidePeer(call.To)
	}
	return sends && receives
}

func outsidePeer(p netpol.Peer) bool { return p.Namespace == "" }

// TestForbiddenCalls lists what must never work, whatever the calls say.
func TestForbiddenCalls(t *testing.T) {
	stack := testStacks()[0]
	declared := stack.run(t)
	c, _ := stack.parsed(t)
	judge := newCluster(t, declared, podPeers(t, c, declared))
	for _, call := range []struct {
		from, to string
		port     int
	}{
		{plan.WebServer, "mongodb", 27017},
		{plan.Consumer, "mongodb", 27017},
		{plan.API, "mongodb", 27017},
		{plan.Producer, "mongodb", 27017},
		{plan.TopicsJob, "mongodb", 27017},
		{plan.ManagementAPI, "kafka", 9093},
		{plan.ManagementAPI, "kafka", 9094},
		{"keda-operator", "kafka", 9094},
		{"keda-operator", plan.WebServer, 8081},
		{plan.Consumer, plan.WebServer, 8081},
		{plan.Producer, plan.ManagementAPI, 8080},
		{plan.API, plan.ManagementAPI, 8080},
		{plan.ManagementAPI, plan.WebServer, 8081},
		{"ingress-nginx", plan.ManagementAPI, 8080},
		{"ingress-nginx", plan.Consumer, 3000},
		{"ingress-nginx", "kafka", 9092},
		{"prometheus-server", "kafka", 9092},
		{"prometheus-server", "mongodb", 27017},
		{"stranger", plan.WebServer, 8081},
		{"stranger", plan.ManagementAPI, 8080},
		{"stranger", "kafka", 9092},
		{"stranger", "mongodb", 27017},
		{"kafka", plan.WebServer, 8081},
		{"kafka", "mongodb", 27017},
		{"mongodb", "kafka", 9092},
		{plan.WebServer, "outside", 443},
		{plan.ManagementAPI, "outside", 443},
		{"kafka", "outside", 443},
		{"mongodb", "outside", 443},
		{"outside", plan.WebServer, 8081},
		{"outside", "kafka", 9092},
		{"outside", "mongodb", 27017},
	} {
		for _, name := range []string{call.from, call.to} {
			if name != "outside" && judge.byName[name] == "" {
				t.Fatalf("there is no peer %q", name)
			}
		}
		if judge.allows(t, call.from, call.to, netpol.Port{Number: call.port}) {
			t.Errorf("%s reaches %s on port %d", call.from, call.to, call.port)
		}
	}
}

// TestEnvironmentsAndCallsAgree compares the addresses in the services' environments with their allowed calls.
func TestEnvironmentsAndCallsAgree(t *testing.T) {
	eachStack(t, func(t *testing.T, stack testStack, declared resources) {
		c, _ := stack.parsed(t)
		unused := map[string]netpol.Call{}
		for _, call := range plan.Graph(c).Calls {
			if call.From.Namespace == plan.AppNamespace && call.From.Name != "dns" {
				unused[call.From.Name+" → "+call.To.Name] = call
			}
		}
		for _, p := range podTemplates(t, declared) {
			if p.namespace != plan.AppNamespace {
				continue
			}
			from := p.meta.Labels["app.kubernetes.io/name"]
			for _, to := range dependenciesInEnvironment(p.spec.Containers[0].Env) {
				key := from + " → " + to
				if !hasCall(plan.Graph(c), from, to) {
					t.Errorf("%s is told to connect to %s, and may not", from, to)
				}
				delete(unused, key)
			}
		}
		for key := range unused {
			t.Errorf("%s is allowed, and no environment says that it is needed", key)
		}
	})
}

// TestTraces tests that the services on the way of an event, and no others, send traces, and reach the collector: the stack's own
// Jaeger, or somebody else's.
func TestTraces(t *testing.T) {
	elsewhere := netpol.Peer{Name: "collector", Namespace: "tracing", Labels: map[string]string{"app": "collector"}}
	for name, collector := range map[string]struct{ name, endpoint, share, url string }{
		"dev through a gateway":       {name: "collector", endpoint: "http://collector.tracing:4318", share: "0.05"},
		"dev with backups and traces": {name: "jaeger", endpoint: "http://jaeger.monitoring.svc:4318", share: "0.1", url: "https://traces.example.com/trace/{id}"},
	} {
		stack := testStacks()[slices.IndexFunc(testStacks(), func(s testStack) bool { return s.name == name })]
		declared := stack.run(t)
		c, _ := stack.parsed(t)
		judge := newCluster(t, declared, append(podPeers(t, c, declared), elsewhere))
		for service, traced := range map[string]bool{
			plan.WebServer: true, plan.ManagementAPI: true, plan.Producer: true, plan.Consumer: true, plan.API: false, plan.TopicsJob: false,
		} {
			env := environment(t, declared, service)
			want := map[bool][2]string{true: {collector.endpoint, collector.share}}[traced]
			if got := [2]string{env["OTEL_EXPORTER_OTLP_ENDPOINT"].Value, env["OTEL_TRACES_SAMPLER_ARG"].Value}; got != want {
				t.Errorf("%s: %s is told %q, want %q", name, service, got, want)
			}
			for port, want := range map[int]bool{4318: traced, 4317: false, 16686: false} {
				if got := judge.allows(t, service, collector.name, netpol.Port{Number: port, Protocol: "TCP"}); got != want {
					t.Errorf("%s: %s reaches port %d of the collector: %t, want %t", name, service, port, got, want)
				}
			}
			// Where a shopper and an operator find it.
			if want := map[bool]string{true: collector.url}[service == plan.WebServer || service == plan.API]; env["TRACE_URL"].Value != want {
				t.Errorf("%s: %s is told that traces are at %q, want %q", name, service, env["TRACE_URL"].Value, want)
			}
		}
	}
}

func hasCall(graph netpol.Graph, from, to string) bool {
	return slices.ContainsFunc(graph.Calls, func(call netpol.Call) bool {
		return call.From.Name == from && call.To.Name == to
	})
}

// dependenciesInEnvironment finds the names of peers in addresses.
func dependenciesInEnvironment(env []corev1.EnvVar) []string {
	found := map[string]bool{}
	for _, e := range env {
		for mark, peer := range map[string]string{
			"kafka." + plan.DataNamespace + ".svc.":         "kafka",
			".mongodb-nodes." + plan.DataNamespace + ".svc": "mongodb",
			"http://" + plan.ManagementAPI + ":":            plan.ManagementAPI,
			"http://prometheus-server.":                     "prometheus-server",
			"http://collector.":                             "collector",
			"http://jaeger.":                                "jaeger",
			"https://otlp.example.com":                      "collector",
		} {
			if strings.Contains(e.Value, mark) {
				found[peer] = true
			}
		}
		if e.Name == "MONGO_URI" && e.ValueFrom != nil {
			found["external mongodb"] = true
		}
		if e.Name == "KAFKA_BOOTSTRAP_SERVERS" && !strings.Contains(e.Value, plan.DataNamespace) {
			found["external kafka"] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
