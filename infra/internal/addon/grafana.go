package addon

import (
	_ "embed"
	"fmt"
	"strings"
)

// The dashboards are made and tried in infra/dashboards.
var (
	//go:embed dashboards/platform.json
	platformDashboard string

	//go:embed dashboards/kafka.json
	kafkaDashboard string

	//go:embed dashboards/runtime.json
	runtimeDashboard string
)

// GrafanaPort is the port of Grafana's pod; its Service listens on port 80.
const GrafanaPort = 3000

// Grafana shows the platform's dashboards. Whoever reaches it may look without a login, and nobody may change anything: there
// is no user at all. Only who may forward a port of the cluster reaches it. Exemplars lead to their traces where browsers find
// them at traceURL.
func Grafana(namespace, traceURL string) Chart {
	server := Demand{Name: "grafana", Resources: resources("50m", "192Mi")}
	off := map[string]any{"enabled": false}
	// As often as Prometheus reads metrics, or rates would be empty.
	prometheus := map[string]any{"timeInterval": "1m"}
	if traceURL != "" {
		prometheus["exemplarTraceIdDestinations"] = exemplars(traceURL)
	}
	const folder = "/var/lib/grafana/dashboards/shopstream"
	return Chart{
		Name: "grafana", Version: "12.11.1", Namespace: namespace,
		Repository: "https://grafana-community.github.io/helm-charts",
		Demands:    []Demand{server},
		Values: map[string]any{
			"resources":     values(server.Resources),
			"testFramework": off,
			// It needs nothing of the API server: the dashboards are mounted.
			"rbac":                         map[string]any{"create": false},
			"automountServiceAccountToken": false,
			// It keeps nothing, so that the next pod needn't start beside the last one.
			"deploymentStrategy": map[string]any{"type": "Recreate"},
			"env":                map[string]any{"GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "true"},
			"grafana.ini": map[string]any{
				"analytics":        map[string]any{"reporting_enabled": false, "check_for_updates": false, "check_for_plugin_updates": false},
				"auth":             map[string]any{"disable_login_form": true},
				"auth.anonymous":   map[string]any{"enabled": true, "org_role": "Viewer"},
				"auth.basic":       off,
				"dashboards":       map[string]any{"default_home_dashboard_path": folder + "/platform.json"},
				"news":             map[string]any{"news_feed_enabled": false},
				"plugins":          map[string]any{"preinstall_disabled": true},
				"snapshots":        map[string]any{"external_enabled": false},
				"unified_alerting": off,
			},
			"datasources": map[string]any{"datasources.yaml": map[string]any{
				"apiVersion": 1,
				"datasources": []any{map[string]any{
					"name": "Prometheus", "uid": "prometheus", "type": "prometheus", "access": "proxy", "isDefault": true,
					"url": fmt.Sprintf("http://prometheus-server.%s.svc", namespace), "jsonData": prometheus,
				}},
			}},
			"dashboardProviders": map[string]any{"dashboardproviders.yaml": map[string]any{
				"apiVersion": 1,
				"providers": []any{map[string]any{
					"name": "shopstream", "type": "file", "disableDeletion": true, "allowUiUpdates": false,
					"options": map[string]any{"path": folder},
				}},
			}},
			// The chart's own values for dashboards bring a second image, which downloads others.
			"dashboardsConfigMaps": map[string]any{"shopstream": FilesName("grafana")},
		},
		Files: map[string]string{
			"platform.json": compact(platformDashboard),
			"kafka.json":    compact(kafkaDashboard),
			"runtime.json":  compact(runtimeDashboard),
		},
	}
}

// compact takes the indentation out of JSON, which has no line break within a text.
func compact(indented string) string {
	var text strings.Builder
	for line := range strings.Lines(indented) {
		text.WriteString(strings.TrimSpace(line))
	}
	return text.String()
}

// exemplars says where Grafana links a histogram's exemplars to: the address of a trace, with {id} for its id.
func exemplars(address string) []any {
	// Grafana replaces variables when it reads the file, unless their $ is doubled.
	return []any{map[string]any{
		"name": "trace_id", "url": strings.ReplaceAll(address, "{id}", "$${__value.raw}"), "urlDisplayLabel": "Trace",
	}}
}
