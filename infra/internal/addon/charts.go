package addon

import (
	"maps"

	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/pod"
)

// Demand is what one kind of pod of a chart asks for.
type Demand struct {
	Name      string
	Resources pod.Resources
}

func resources(cpu, memory string) pod.Resources {
	return pod.Resources{
		CPU: resource.MustParse(cpu), CPULimit: resource.MustParse("1"), Memory: resource.MustParse(memory),
	}
}

// IngressNginxArgs is what a stack chooses about the ingress controller.
type IngressNginxArgs struct {
	Namespace   string
	Class       string
	ServiceType string
}

// IngressNginx is the ingress controller. Its project has ended: the chart is the last one, and the platform uses
// nothing that only it understands.
func IngressNginx(args IngressNginxArgs) Chart {
	controller := Demand{Name: "ingress-nginx", Resources: resources("50m", "160Mi")}
	return Chart{
		Name: "ingress-nginx", Version: "4.15.1", Namespace: args.Namespace,
		Repository: "https://kubernetes.github.io/ingress-nginx",
		Demands:    []Demand{controller},
		Values: map[string]any{
			"controller": map[string]any{
				"allowSnippetAnnotations": false,
				"ingressClassResource":    map[string]any{"name": args.Class},
				"ingressClass":            args.Class,
				"resources":               controller.Resources.Values(),
				"service":                 map[string]any{"type": args.ServiceType},
			},
		},
	}
}

// KEDA is the autoscaler for everything that the cluster itself can't scale on.
func KEDA(namespace string) Chart {
	part := resources("50m", "100Mi")
	return Chart{
		Name: "keda", Version: "2.20.2", Namespace: namespace,
		Repository: "https://kedacore.github.io/charts",
		Demands: []Demand{
			{Name: "keda-operator", Resources: part},
			{Name: "keda-metrics-apiserver", Resources: part},
			{Name: "keda-admission-webhooks", Resources: part},
		},
		Values: map[string]any{
			"image": map[string]any{"pullPolicy": "IfNotPresent"},
			"resources": map[string]any{
				"operator": part.Values(), "metricServer": part.Values(), "webhooks": part.Values(),
			},
		},
	}
}

// MetricsServer serves the CPU use that autoscalers look at.
func MetricsServer(namespace string, kubeletInsecureTLS bool) Chart {
	server := Demand{Name: "metrics-server", Resources: resources("50m", "100Mi")}
	values := map[string]any{"resources": server.Resources.Values()}
	if kubeletInsecureTLS {
		values["args"] = []any{"--kubelet-insecure-tls"}
	}
	return Chart{
		Name: "metrics-server", Version: "3.13.1", Namespace: namespace,
		Repository: "https://kubernetes-sigs.github.io/metrics-server/",
		Demands:    []Demand{server},
		Values:     values,
	}
}

// merge lays one chart's values over another's, key by key.
func merge(base, over map[string]any) map[string]any {
	merged := maps.Clone(base)
	for key, value := range over {
		inner, isMap := value.(map[string]any)
		if outer, both := merged[key].(map[string]any); isMap && both {
			merged[key] = merge(outer, inner)
			continue
		}
		merged[key] = value
	}
	return merged
}
