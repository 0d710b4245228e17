package addon

// ControllerArgs configures the ingress controller.
type ControllerArgs struct {
	Namespace   string
	Class       string
	ServiceType string
	Replicas    int
	Zones       bool

	// Routed is the namespace of the routes, their services and their certificate: the only one besides its own that the
	// controller reads.
	Routed string
}

// IngressNginx is the ingress-nginx controller. Its project has ended, and this chart is the last one.
func IngressNginx(args ControllerArgs) Chart {
	controller := Demand{Name: "ingress-nginx", Resources: resources("200m", "160Mi"), More: args.Replicas - 1}
	return Chart{
		Name: "ingress-nginx", Version: "4.15.1", Namespace: args.Namespace,
		Repository: "https://kubernetes.github.io/ingress-nginx",
		Demands:    []Demand{controller},
		Values: map[string]any{
			"controller": map[string]any{
				"allowSnippetAnnotations": false,
				"ingressClassResource":    map[string]any{"name": args.Class},
				"ingressClass":            args.Class,
				"resources":               values(controller.Resources),
				"service":                 map[string]any{"type": args.ServiceType},
				// With two or more pods, the chart lets one be evicted at a time.
				"replicaCount":              args.Replicas,
				"topologySpreadConstraints": spread("ingress-nginx", args.Zones),
				// The chart's defaults let it read every Secret of the cluster, and validate every Ingress of the cluster.
				"scope": map[string]any{"enabled": true, "namespace": args.Routed},
				"admissionWebhooks": map[string]any{
					"namespaceSelector": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": args.Routed}},
				},
			},
			"rbac": map[string]any{"scope": true},
		},
		Rights: Rights{
			Account: "ingress-nginx",
			Cluster: []Rule{
				{Group: "networking.k8s.io", Resources: []string{"ingressclasses"}, Verbs: reading()},
				{Resources: []string{"namespaces"}, Names: []string{args.Routed}, Verbs: []string{"get"}},
			},
			Namespaces: map[string][]Rule{args.Routed: {
				{Resources: []string{"configmaps", "secrets", "services"}, Verbs: reading()},
				{Group: "discovery.k8s.io", Resources: []string{"endpointslices"}, Verbs: reading()},
				{Group: "networking.k8s.io", Resources: []string{"ingresses"}, Verbs: reading()},
				{Group: "networking.k8s.io", Resources: []string{"ingresses/status"}, Verbs: []string{"update"}},
				{Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
			}},
		},
	}
}

// The ports of Traefik's pods. It maps a Gateway's listener to its own by the port.
const (
	TraefikHTTP  = 8000
	TraefikHTTPS = 8443
)

// Traefik implements the Gateway API, whose kinds must be in the cluster first. Its own kinds are skipped: nothing
// here uses them.
func Traefik(args ControllerArgs) Chart {
	controller := Demand{Name: "traefik", Resources: resources("200m", "128Mi"), More: args.Replicas - 1}
	off := map[string]any{"enabled": false}
	// While a pod stops, it gets requests until its address is removed everywhere.
	lifecycle := map[string]any{"lifeCycle": map[string]any{"requestAcceptGraceTimeout": "5s"}}
	read := []Rule{
		{Resources: []string{"configmaps", "secrets", "services"}, Verbs: reading()},
		{Group: "discovery.k8s.io", Resources: []string{"endpointslices"}, Verbs: reading()},
		{Group: gatewayGroup, Verbs: reading(), Resources: []string{
			"gateways", "httproutes", "grpcroutes", "tlsroutes", "referencegrants", "backendtlspolicies",
		}},
	}
	return Chart{
		Name: "traefik", Version: "41.3.0", Namespace: args.Namespace,
		Repository: "https://traefik.github.io/charts",
		Demands:    []Demand{controller},
		SkipCRDs:   true,
		Values: map[string]any{
			"providers": map[string]any{
				"kubernetesCRD":     off,
				"kubernetesIngress": off,
				"kubernetesGateway": map[string]any{
					"enabled": true, "namespaces": []any{args.Routed, args.Namespace},
				},
			},
			// The Gateway is declared beside the routes and the certificate.
			"gateway":                   off,
			"gatewayClass":              map[string]any{"name": args.Class},
			"ingressClass":              off,
			"api":                       map[string]any{"dashboard": false},
			"global":                    map[string]any{"checkNewVersion": false, "sendAnonymousUsage": false},
			"deployment":                map[string]any{"replicas": args.Replicas},
			"podDisruptionBudget":       map[string]any{"enabled": args.Replicas > 1, "maxUnavailable": 1},
			"topologySpreadConstraints": spread("traefik", args.Zones),
			"resources":                 values(controller.Resources),
			// More requests than this at once to one pod of a service, and each further one takes a connection of its own. The
			// default is 200; web-server accepts 2,500 connections.
			"additionalArguments": []any{"--serversTransport.maxIdleConnsPerHost=1000"},
			"service":             map[string]any{"spec": map[string]any{"type": args.ServiceType}},
			"ports": map[string]any{
				"web":       map[string]any{"port": TraefikHTTP, "transport": lifecycle},
				"websecure": map[string]any{"port": TraefikHTTPS, "transport": lifecycle},
			},
			// The chart's own rights let it read every Secret of the cluster.
			"rbac": off,
		},
		Rights: Rights{
			Account: "traefik",
			Cluster: []Rule{
				{Resources: []string{"namespaces"}, Verbs: reading()},
				{Group: gatewayGroup, Resources: []string{"gatewayclasses"}, Verbs: reading()},
				{Group: gatewayGroup, Resources: []string{"gatewayclasses/status"}, Verbs: []string{"update"}},
			},
			Namespaces: map[string][]Rule{
				// Its own namespace has the Service whose address it writes into the Gateway's status.
				args.Namespace: read,
				args.Routed: append(read[:len(read):len(read)], Rule{
					Group: gatewayGroup, Verbs: []string{"update"}, Resources: []string{
						"gateways/status", "httproutes/status", "grpcroutes/status", "tlsroutes/status", "backendtlspolicies/status",
					},
				}),
			},
		},
	}
}

const gatewayGroup = "gateway.networking.k8s.io"

// spread puts a chart's pods on different nodes and in different zones, if possible.
func spread(name string, zones bool) []any {
	constraint := func(key string) any {
		return map[string]any{
			"maxSkew":           1,
			"topologyKey":       key,
			"whenUnsatisfiable": "ScheduleAnyway",
			"labelSelector":     map[string]any{"matchLabels": map[string]any{"app.kubernetes.io/name": name}},
		}
	}
	constraints := []any{constraint("kubernetes.io/hostname")}
	if zones {
		constraints = append(constraints, constraint("topology.kubernetes.io/zone"))
	}
	return constraints
}
