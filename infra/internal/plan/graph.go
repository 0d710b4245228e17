package plan

import (
	"net/url"
	"strconv"

	"shopstream/infra/internal/addon"
	"shopstream/infra/internal/app"
	"shopstream/infra/internal/config"
	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/label"
	"shopstream/infra/internal/mongo"
	"shopstream/infra/internal/netpol"
)

// The namespaces of the platform itself. Those of the addons are configurable.
const (
	AppNamespace  = "shop"
	DataNamespace = "shop-data"
)

// ClosedNamespaces returns the namespaces that the stack creates. Traffic in them is denied unless the graph allows it.
func ClosedNamespaces(c config.Config) []string {
	names := []string{AppNamespace, DataNamespace}
	if c.Ingress.Installed() {
		names = append(names, c.Ingress.Namespace)
	}
	if c.Addons.KEDA {
		names = append(names, c.Addons.KEDANamespace)
	}
	if c.Addons.Monitors() {
		names = append(names, c.Addons.MonitoringNamespace)
	}
	return names
}

// Graph returns who calls whom on which port. It is declared only here: the network policies, docs/infra-network.md, and
// the test that compares it with the services' environments are derived from it.
func Graph(c config.Config) netpol.Graph {
	closed := ClosedNamespaces(c)
	brokers, clientPorts := Brokers(c)

	var calls []netpol.Call
	making := "creates the topics"
	if !c.Kafka.IsExternal() {
		calls, making = Topology(c).Calls(DataNamespace), "creates the topics and the access list"
	}
	add := func(from, to netpol.Peer, ports []netpol.Port, why string) {
		calls = append(calls, netpol.Call{From: from, To: to, Ports: ports, Why: why})
	}

	for _, s := range Services(c) {
		add(app.Pods(s.Name, AppNamespace), brokers, clientPorts, "events")
	}
	topicsPods := netpol.Peer{Name: TopicsJob, Namespace: AppNamespace, Labels: label.Selector(TopicsJob)}
	add(topicsPods, brokers, clientPorts, making)
	add(app.Pods(WebServer, AppNamespace), app.Pods(ManagementAPI, AppNamespace), netpol.TCP(managementPort),
		"purchase history")

	if c.Tracing.On() {
		for _, s := range Services(c) {
			if s.Traced {
				add(app.Pods(s.Name, AppNamespace), Collector(c), netpol.TCP(portOf(c.Tracing.Endpoint)), "traces")
			}
		}
	}

	calls = append(calls, databaseCalls(c)...)
	calls = append(calls, addonCalls(c)...)

	for _, namespace := range closed {
		everyPod := netpol.Peer{Name: "dns", Namespace: namespace}
		add(everyPod, clusterDNS(), dnsPorts(), "name resolution")
		if len(c.Cluster.DNSAddresses) > 0 {
			add(everyPod, netpol.Peer{Name: "node-local dns", Addresses: c.Cluster.DNSAddresses}, dnsPorts(), "name resolution")
		}
	}
	return netpol.Graph{Closed: closed, Calls: calls}
}

// Brokers returns the brokers that clients connect to, and their ports.
func Brokers(c config.Config) (netpol.Peer, []netpol.Port) {
	if !c.Kafka.IsExternal() {
		return kafka.Brokers(DataNamespace), netpol.TCP(kafka.ClientPort)
	}
	external := c.Kafka.External
	peer := netpol.Peer{Name: "external kafka", Namespace: external.Namespace, Addresses: external.Addresses}
	return peer, netpol.TCP(external.BrokerPorts()...)
}

// Collector is who takes the traces.
func Collector(c config.Config) netpol.Peer {
	if c.Addons.Jaeger {
		return places(c).Jaeger()
	}
	return netpol.Peer{Name: "collector", Namespace: c.Tracing.Namespace, Addresses: c.Tracing.Addresses}
}

func clusterDNS() netpol.Peer {
	return netpol.Peer{
		Name: "cluster dns", Namespace: "kube-system", Labels: map[string]string{"k8s-app": "kube-dns"},
	}
}

func dnsPorts() []netpol.Port {
	return []netpol.Port{{Number: 53, Protocol: "UDP"}, {Number: 53, Protocol: "TCP"}}
}

func databaseCalls(c config.Config) []netpol.Call {
	database, port := mongo.Members(DataNamespace), netpol.TCP(mongo.Port)
	if c.Mongo.External {
		database = netpol.Peer{Name: "external mongodb", Addresses: c.Mongo.ExternalAddresses}
		port = netpol.TCP(c.Mongo.ExternalPort)
	}
	var calls []netpol.Call
	for _, s := range Services(c) {
		if s.Database {
			calls = append(calls, netpol.Call{From: app.Pods(s.Name, AppNamespace), To: database, Ports: port, Why: "purchases"})
		}
	}
	if c.Mongo.External {
		return calls
	}
	if c.Mongo.Backups() {
		dumps := mongo.BackupPods(DataNamespace)
		calls = append(calls, netpol.Call{From: dumps, To: database, Ports: port, Why: "dumps, drills and restores"})
		if s3 := c.Mongo.Backup.S3; s3.Bucket != "" {
			store := netpol.Peer{Name: "object store", Addresses: s3.Addresses}
			calls = append(calls, netpol.Call{From: dumps, To: store, Ports: netpol.TCP(portOf(s3.Endpoint)), Why: "dumps"})
		}
	}
	return append(calls,
		netpol.Call{From: mongo.Initiate(DataNamespace), To: database, Ports: port, Why: "initiates the replica set"},
		netpol.Call{From: database, To: database, Ports: port, Why: "replication"},
	)
}

// portOf returns the port of an address that was checked before.
func portOf(address string) int {
	u, err := url.Parse(address)
	if err != nil {
		return 0
	}
	if port, err := strconv.Atoi(u.Port()); err == nil {
		return port
	}
	if u.Scheme == "http" {
		return 80
	}
	return 443
}

func places(c config.Config) addon.Places {
	return addon.Places{
		Ingress:    c.Ingress.Namespace,
		KEDA:       c.Addons.KEDANamespace,
		Monitoring: c.Addons.MonitoringNamespace,
	}
}

// addonCalls returns the calls to, from and within the addons.
func addonCalls(c config.Config) []netpol.Call {
	places := places(c)
	var calls []netpol.Call
	controller := netpol.Peer{Name: "ingress controller", Namespace: c.Ingress.Namespace}
	switch c.Ingress.Controller {
	case config.Nginx:
		controller = places.IngressNginx()
		calls = append(calls, places.IngressNginxCalls(c.Cluster.APIServerPorts)...)
	case config.Traefik:
		controller = places.Traefik()
		calls = append(calls, places.TraefikCalls(c.Cluster.APIServerPorts)...)
	}
	operator := places.KEDAOperator()
	if c.Addons.KEDA {
		calls = append(calls, places.KEDACalls(c.Cluster.APIServerPorts)...)
	}
	if c.Addons.MetricsServer {
		calls = append(calls, places.MetricsServerCalls(c.Cluster.APIServerPorts)...)
	}
	if c.Addons.Prometheus {
		calls = append(calls, places.PrometheusCalls(c.Cluster.APIServerPorts)...)
	}

	if c.Addons.Dashboards() {
		calls = append(calls, netpol.Call{
			From: places.Grafana(), To: places.PrometheusServer(), Ports: netpol.TCP(addon.PrometheusPort), Why: "dashboards",
		})
	}

	seen := map[string]bool{}
	for _, route := range Routes(c) {
		if seen[route.Service] {
			continue
		}
		seen[route.Service] = true
		calls = append(calls, netpol.Call{
			From: controller, To: app.Pods(route.Service, AppNamespace), Ports: netpol.TCP(route.Port),
			Why: "requests from outside",
		})
	}
	brokers, clientPorts := Brokers(c)
	calls = append(calls, netpol.Call{From: operator, To: brokers, Ports: clientPorts, Why: "consumer lag"})
	for _, s := range Services(c) {
		if s.Scale.Lag != nil {
			calls = append(calls, netpol.Call{
				From: operator, To: app.Pods(s.Name, AppNamespace), Ports: netpol.TCP(s.Port), Why: "records that arrive",
			})
		}
	}
	if c.Addons.Prometheus {
		for _, s := range Services(c) {
			calls = append(calls, netpol.Call{
				From: places.PrometheusServer(), To: app.Pods(s.Name, AppNamespace), Ports: netpol.TCP(s.Port), Why: "metrics",
			})
		}
		// Its page /system shows metrics of all services, and this way it needs no access to the services themselves.
		calls = append(calls, netpol.Call{
			From: app.Pods(API, AppNamespace), To: places.PrometheusServer(), Ports: netpol.TCP(addon.PrometheusPort),
			Why: "metrics of all services",
		})
		if !c.Kafka.IsExternal() {
			for _, nodes := range Topology(c).Nodes(DataNamespace) {
				calls = append(calls, netpol.Call{
					From: places.PrometheusServer(), To: nodes, Ports: netpol.TCP(kafka.GuardPort), Why: "the health of the brokers",
				})
			}
		}
	}
	return calls
}
