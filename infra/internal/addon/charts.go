package addon

import (
	"maps"

	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/pod"
)

// Demand is the resource request of one kind of pod of a chart.
type Demand struct {
	Name      string
	Resources pod.Resources

	// More is the number of pods beyond one.
	More int
}

func resources(cpu, memory string) pod.Resources {
	return pod.Resources{
		CPU: resource.MustParse(cpu), CPULimit: resource.MustParse("1"), Memory: resource.MustParse(memory),
	}
}

// values returns the resources of a chart's container. Unlike those of the platform's own, its memory limit is far above
// its request: the peak use of third-party software is not known here, and a process close to its limit becomes very slow,
// since the kernel evicts its code pages and reads them again and again.
func values(r pod.Resources) map[string]any {
	limit := resource.NewQuantity(4*r.Memory.Value(), resource.BinarySI)
	return map[string]any{
		"requests": map[string]any{"cpu": r.CPU.String(), "memory": r.Memory.String()},
		"limits":   map[string]any{"cpu": r.CPULimit.String(), "memory": limit.String()},
	}
}

// restricted is a container's security context that Pod Security "restricted" admits, for charts whose own it wouldn't.
func restricted() map[string]any {
	return map[string]any{
		"allowPrivilegeEscalation": false,
		"readOnlyRootFilesystem":   true,
		"runAsNonRoot":             true,
		"capabilities":             map[string]any{"drop": []any{"ALL"}},
		"seccompProfile":           map[string]any{"type": "RuntimeDefault"},
	}
}

// KEDAArgs configures KEDA.
type KEDAArgs struct {
	Namespace string

	// Watched is the namespace whose workloads it scales, and the only one besides its own that it reads.
	Watched string

	// ReadsSecrets lets it read the Secrets there, with its credentials for the brokers.
	ReadsSecrets bool
}

// KEDA is the autoscaler for what a HorizontalPodAutoscaler alone can't scale on.
func KEDA(args KEDAArgs) Chart {
	part := resources("50m", "100Mi")
	return Chart{
		Name: "keda", Version: "2.20.2", Namespace: args.Namespace,
		Repository: "https://kedacore.github.io/charts",
		Demands: []Demand{
			{Name: "keda-operator", Resources: part},
			{Name: "keda-metrics-apiserver", Resources: part},
			{Name: "keda-admission-webhooks", Resources: part},
		},
		Values: map[string]any{
			"image": map[string]any{"pullPolicy": "IfNotPresent"},
			"resources": map[string]any{
				"operator": values(part), "metricServer": values(part), "webhooks": values(part),
			},
			// The chart's defaults let it read every Secret of the cluster, and every object of every kind.
			"watchNamespace": args.Watched,
			"rbac":           map[string]any{"enabledCustomScaledRefKinds": false},
			"permissions": map[string]any{
				"operator":     map[string]any{"restrict": map[string]any{"secret": !args.ReadsSecrets}},
				"metricServer": map[string]any{"restrict": map[string]any{"secret": true}},
			},
		},
	}
}

// MetricsServer provides the CPU usage that autoscalers need.
func MetricsServer(namespace string, kubeletInsecureTLS bool) Chart {
	server := Demand{Name: "metrics-server", Resources: resources("50m", "100Mi")}
	settings := map[string]any{"resources": values(server.Resources)}
	if kubeletInsecureTLS {
		settings["args"] = []any{"--kubelet-insecure-tls"}
	}
	return Chart{
		Name: "metrics-server", Version: "3.13.1", Namespace: namespace,
		Repository: "https://kubernetes-sigs.github.io/metrics-server/",
		Demands:    []Demand{server},
		Values:     settings,
	}
}

// merge overrides one chart's values by another's, key by key.
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
