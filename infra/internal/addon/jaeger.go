package addon

import "fmt"

// keptTraces bounds what Jaeger has in memory: new traces replace the oldest ones. With as many purchases, each a trace of five
// spans, its process took 143 MB.
const keptTraces = 10_000

// Jaeger takes the services' traces and shows them. It keeps the newest in memory and no volume, so that they are lost with the
// pod. Whoever reaches it may look without a login, as in Grafana: only who may forward a port of the cluster does.
func Jaeger(namespace string) Chart {
	server := Demand{Name: "jaeger", Resources: resources("50m", "192Mi")}
	everywhere := func(port int) map[string]any {
		return map[string]any{"endpoint": fmt.Sprintf("0.0.0.0:%d", port)}
	}
	return Chart{
		Name: "jaeger", Version: "4.11.1", Namespace: namespace,
		Repository: "https://jaegertracing.github.io/helm-charts",
		Demands:    []Demand{server},
		Values: map[string]any{
			"jaeger": map[string]any{
				"resources": values(server.Resources),
				// Less than its limit, so that Go collects garbage before the kernel ends the process.
				"extraEnv":       []any{map[string]any{"name": "GOMEMLIMIT", "value": "640MiB"}},
				"serviceAccount": map[string]any{"automountServiceAccountToken": false},
				"podSecurityContext": map[string]any{
					"runAsNonRoot": true, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001,
					"seccompProfile": map[string]any{"type": "RuntimeDefault"},
				},
				"securityContext": restricted(),
			},
			// Only what is used: by default it listens for six more protocols.
			"userconfig": map[string]any{
				"service": map[string]any{
					"extensions": []any{"jaeger_storage", "jaeger_query", "healthcheckv2"},
					"pipelines": map[string]any{"traces": map[string]any{
						"receivers": []any{"otlp"}, "processors": []any{"batch"}, "exporters": []any{"jaeger_storage_exporter"},
					}},
					"telemetry": map[string]any{"metrics": map[string]any{"level": "none"}},
				},
				"receivers": map[string]any{"otlp": map[string]any{"protocols": map[string]any{"http": everywhere(4318)}}},
				// Without batches, each request would lock the store. A batch waits for 200 ms at most.
				"processors": map[string]any{"batch": map[string]any{}},
				"exporters":  map[string]any{"jaeger_storage_exporter": map[string]any{"trace_storage": "memory"}},
				"extensions": map[string]any{
					"jaeger_storage": map[string]any{"backends": map[string]any{
						"memory": map[string]any{"memory": map[string]any{"max_traces": keptTraces}},
					}},
					"jaeger_query":  map[string]any{"storage": map[string]any{"traces": "memory"}, "http": everywhere(16686), "grpc": map[string]any{"endpoint": "127.0.0.1:16685"}},
					"healthcheckv2": map[string]any{"use_v2": true, "http": everywhere(13133)},
				},
			},
		},
	}
}
