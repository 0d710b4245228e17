package addon

import (
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/label"
)

// PrometheusPort is the port of Prometheus' pod; its Service listens on port 80.
const PrometheusPort = 9090

// PrometheusArgs configures Prometheus, and says where it finds what it monitors.
type PrometheusArgs struct {
	Namespace string
	Retention string

	// Storage is the size of the volume; zero means no volume.
	Storage resource.Quantity

	// Exemplars keeps the trace of some observations of each histogram, where there are traces.
	Exemplars bool

	// AppNamespace contains the services, DataNamespace the brokers.
	AppNamespace, DataNamespace string

	// Broker is the name of the brokers' StatefulSet, and the prefix of the controllers'; Database is the database's.
	Broker, Database string

	// PortName is the name of the services' port, which serves their metrics.
	PortName string

	// GuardPortName is that of the guards beside Kafka's nodes, which tell about the brokers; empty means that there are none.
	GuardPortName string

	// FinalizeAfter is when an upgrade of the brokers ends; zero means that nobody ends it.
	FinalizeAfter time.Duration

	// Runbooks is the address of the folder docs, or empty.
	Runbooks string
}

// Prometheus scrapes the services and the state of the cluster, and evaluates the platform's alert rules.
func Prometheus(args PrometheusArgs) Chart {
	server := Demand{Name: "prometheus-server", Resources: resources("100m", "384Mi")}
	state := Demand{Name: "kube-state-metrics", Resources: resources("10m", "64Mi")}
	reload := Demand{Name: "prometheus-config-reload", Resources: resources("10m", "32Mi")}
	volume := map[string]any{"enabled": !args.Storage.IsZero()}
	if !args.Storage.IsZero() {
		volume["size"] = args.Storage.String()
	}
	off := map[string]any{"enabled": false}
	process := map[string]any{
		"containerSecurityContext": restricted(),
		"persistentVolume":         volume,
		"resources":                values(server.Resources),
		"retention":                args.Retention,
	}
	if args.Exemplars {
		process["extraArgs"] = map[string]any{"enable-feature": "exemplar-storage"}
	}

	scrapeConfigs := map[string]any{
		"shopstream":         podsJob(args.AppNamespace, args.PortName),
		"kube-state-metrics": stateJob(),
		"kubernetes-nodes":   volumesJob(),
	}
	if args.GuardPortName != "" {
		scrapeConfigs["kafka"] = podsJob(args.DataNamespace, args.GuardPortName)
	}
	for _, job := range unusedJobs() {
		scrapeConfigs[job] = off
	}
	return Chart{
		Name: "prometheus", Version: "29.27.0", Namespace: args.Namespace,
		Repository: "https://prometheus-community.github.io/helm-charts",
		Demands:    []Demand{server, reload, state},
		Values: map[string]any{
			"alertmanager":             off,
			"prometheus-pushgateway":   off,
			"prometheus-node-exporter": off,
			"configmapReload": map[string]any{
				"prometheus": map[string]any{
					"containerSecurityContext": restricted(),
					"resources":                values(reload.Resources),
				},
			},
			"kube-state-metrics": map[string]any{
				// It may list what it collects and no more: by default the chart lets it list every Secret of the cluster.
				"collectors": []any{"cronjobs", "deployments", "horizontalpodautoscalers", "pods", "statefulsets"},
				"namespaces": []any{args.AppNamespace, args.DataNamespace},
				"resources":  values(state.Resources),
			},
			"server":        process,
			"scrapeConfigs": scrapeConfigs,
			"serverFiles":   map[string]any{"alerting_rules.yml": rules(args)},
		},
	}
}

// unusedJobs are scrape jobs of the chart whose metrics no rule here uses, or that need more rights.
func unusedJobs() []string {
	return []string{
		"kubernetes-api-servers", "kubernetes-nodes-cadvisor",
		"kubernetes-service-endpoints", "kubernetes-service-endpoints-slow",
		"prometheus-pushgateway", "kubernetes-services", "kubernetes-pods", "kubernetes-pods-slow",
	}
}

// podsJob finds the platform's pods in a namespace by their label, and the one port that serves metrics by its name. Pods
// without it, such as those of Jobs, are left out.
func podsJob(namespace, portName string) map[string]any {
	return map[string]any{
		"kubernetes_sd_configs": []any{map[string]any{
			"role":       "pod",
			"namespaces": map[string]any{"names": []any{namespace}},
		}},
		"relabel_configs": []any{
			map[string]any{
				"source_labels": []any{
					"__meta_kubernetes_pod_label_app_kubernetes_io_part_of", "__meta_kubernetes_pod_container_port_name",
				},
				"regex":  label.PartOf + ";" + portName,
				"action": "keep",
			},
			map[string]any{
				"source_labels": []any{"__meta_kubernetes_pod_label_app_kubernetes_io_name"},
				"target_label":  "service",
			},
			map[string]any{
				"source_labels": []any{"__meta_kubernetes_pod_name"},
				"target_label":  "pod",
			},
		},
	}
}

func stateJob() map[string]any {
	return map[string]any{
		"static_configs": []any{map[string]any{"targets": []any{"prometheus-kube-state-metrics:8080"}}},
	}
}

// volumesJob is the chart's own job for the kubelets. Only the usage of volumes is kept.
func volumesJob() map[string]any {
	return map[string]any{
		"metric_relabel_configs": []any{map[string]any{
			"source_labels": []any{"__name__"},
			"regex":         "kubelet_volume_stats_(available|capacity)_bytes",
			"action":        "keep",
		}},
	}
}
