package addon

import (
	"shopstream/infra/internal/netpol"
)

// Places says in which namespaces the addons run.
type Places struct {
	Ingress, KEDA, Monitoring string
}

// IngressNginx are the pods of ingress-nginx that serve requests.
func (p Places) IngressNginx() netpol.Peer {
	return chartPeer(p.Ingress, "ingress-nginx", map[string]string{
		"app.kubernetes.io/name": "ingress-nginx", "app.kubernetes.io/component": "controller",
	})
}

// Traefik are the pods of Traefik.
func (p Places) Traefik() netpol.Peer {
	return chartPeer(p.Ingress, "traefik", map[string]string{"app.kubernetes.io/name": "traefik"})
}

// KEDAOperator is the pod that reads lag from the brokers.
func (p Places) KEDAOperator() netpol.Peer {
	return chartPeer(p.KEDA, "keda-operator", map[string]string{"app": "keda-operator"})
}

// PrometheusServer is the pod that scrapes metrics.
func (p Places) PrometheusServer() netpol.Peer {
	return chartPeer(p.Monitoring, "prometheus-server", map[string]string{
		"app.kubernetes.io/name": "prometheus", "app.kubernetes.io/component": "server",
	})
}

// Grafana is the pod that shows dashboards.
func (p Places) Grafana() netpol.Peer {
	return chartPeer(p.Monitoring, "grafana", map[string]string{"app.kubernetes.io/name": "grafana"})
}

// Jaeger is the pod that takes and shows traces.
func (p Places) Jaeger() netpol.Peer {
	return chartPeer(p.Monitoring, "jaeger", map[string]string{"app.kubernetes.io/name": "jaeger"})
}

func chartPeer(namespace, name string, labels map[string]string) netpol.Peer {
	return netpol.Peer{Name: name, Namespace: namespace, Labels: labels}
}

// The API server calls webhooks and extension APIs from an address that no selector matches, so those ports are open to
// everyone, like the ports for clients outside of the cluster.
func anywhere(name string) netpol.Peer { return netpol.Peer{Name: name} }

func apiServer(from netpol.Peer, ports []int) netpol.Call {
	return netpol.Call{From: from, To: anywhere("api server"), Ports: netpol.TCP(ports...), Why: "watches the cluster"}
}

// IngressNginxCalls are the calls that ingress-nginx needs for itself.
func (p Places) IngressNginxCalls(apiServerPorts []int) []netpol.Call {
	controller := p.IngressNginx()
	hook := chartPeer(p.Ingress, "ingress-nginx-admission", map[string]string{
		"app.kubernetes.io/name": "ingress-nginx", "app.kubernetes.io/component": "admission-webhook",
	})
	return []netpol.Call{
		{From: anywhere("clients"), To: controller, Ports: netpol.TCP(80, 443), Why: "requests"},
		{From: anywhere("api server"), To: controller, Ports: netpol.TCP(8443), Why: "checks Ingress objects"},
		apiServer(controller, apiServerPorts),
		apiServer(hook, apiServerPorts),
	}
}

// TraefikCalls are the calls that Traefik needs for itself.
func (p Places) TraefikCalls(apiServerPorts []int) []netpol.Call {
	return []netpol.Call{
		{From: anywhere("clients"), To: p.Traefik(), Ports: netpol.TCP(TraefikHTTP, TraefikHTTPS), Why: "requests"},
		apiServer(p.Traefik(), apiServerPorts),
	}
}

// KEDACalls are the calls that KEDA needs for itself.
func (p Places) KEDACalls(apiServerPorts []int) []netpol.Call {
	operator := p.KEDAOperator()
	metrics := chartPeer(p.KEDA, "keda-metrics-apiserver", map[string]string{"app": "keda-operator-metrics-apiserver"})
	hooks := chartPeer(p.KEDA, "keda-admission-webhooks", map[string]string{"app": "keda-admission-webhooks"})
	return []netpol.Call{
		{From: metrics, To: operator, Ports: netpol.TCP(9666), Why: "asks for metrics"},
		{From: anywhere("api server"), To: metrics, Ports: netpol.TCP(6443), Why: "external metrics"},
		{From: anywhere("api server"), To: hooks, Ports: netpol.TCP(9443), Why: "checks ScaledObjects"},
		apiServer(operator, apiServerPorts),
		apiServer(metrics, apiServerPorts),
		apiServer(hooks, apiServerPorts),
	}
}

// MetricsServerCalls are the calls that the metrics server needs.
func (p Places) MetricsServerCalls(apiServerPorts []int) []netpol.Call {
	server := chartPeer(p.Monitoring, "metrics-server", map[string]string{"app.kubernetes.io/name": "metrics-server"})
	return []netpol.Call{
		{From: anywhere("api server"), To: server, Ports: netpol.TCP(10250), Why: "resource metrics"},
		{From: server, To: anywhere("kubelets"), Ports: netpol.TCP(10250), Why: "reads the pods' use"},
		apiServer(server, apiServerPorts),
	}
}

// PrometheusCalls are the calls that Prometheus needs besides those for the platform's metrics.
func (p Places) PrometheusCalls(apiServerPorts []int) []netpol.Call {
	server := p.PrometheusServer()
	state := chartPeer(p.Monitoring, "kube-state-metrics",
		map[string]string{"app.kubernetes.io/name": "kube-state-metrics"})
	return []netpol.Call{
		{From: server, To: state, Ports: netpol.TCP(8080), Why: "state of the cluster"},
		{From: server, To: anywhere("kubelets"), Ports: netpol.TCP(10250), Why: "how full the volumes are"},
		apiServer(server, apiServerPorts),
		apiServer(state, apiServerPorts),
	}
}
