package addon

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
)

// served is every metric that the services serve, and those of the cluster's state that the rules look at.
func served() []string {
	return []string{
		"http_requests_total", "http_request_duration_seconds", "dependency_up",
		"kafka_consumer_lag", "kafka_produce_duration_seconds", "kafka_produce_errors_total",
		"purchase_end_to_end_seconds", "purchases_stored_total", "purchases_duplicate_total",
		"mongo_batch_size", "mongo_batch_duration_seconds", "dead_letters_total",
		"orders_counted_total", "transactions_total", "producer_messages_total", "consumer_messages_total",
		"api_requests_total", "api_messages_consumed_total", "messages_read_duration_seconds", "build_info",
		"up",
		"kube_statefulset_status_replicas_ready", "kube_statefulset_replicas",
		"kube_deployment_status_replicas_available",
		"kube_horizontalpodautoscaler_status_current_replicas", "kube_horizontalpodautoscaler_spec_max_replicas",
	}
}

var (
	quoted    = regexp.MustCompile(`"[^"]*"`)
	selectors = regexp.MustCompile(`\{[^}]*\}`)
	grouping  = regexp.MustCompile(`\bby \([^)]*\)`)
	duration  = regexp.MustCompile(`\[[0-9a-z]+\]`)
	word      = regexp.MustCompile(`[a-z_]{2,}`)
	suffix    = regexp.MustCompile(`_(bucket|count|sum)$`)
)

// metricsIn returns the names of the metrics in an expression.
func metricsIn(expr string) []string {
	for _, noise := range []*regexp.Regexp{quoted, selectors, grouping, duration} {
		expr = noise.ReplaceAllString(expr, " ")
	}
	functions := []string{"max", "sum", "rate", "increase", "absent", "histogram_quantile", "or", "unless"}
	var names []string
	for _, name := range word.FindAllString(expr, -1) {
		if !slices.Contains(functions, name) {
			names = append(names, suffix.ReplaceAllString(name, ""))
		}
	}
	return names
}

func TestAlertsLookAtMetricsThatAreServed(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range slices.Concat(healthRules(PrometheusArgs{DataNamespace: "d", AppNamespace: "a", Broker: "b"}), promiseRules()) {
		metrics := metricsIn(r.expr)
		if len(metrics) == 0 {
			t.Errorf("%s looks at no metric: %s", r.name, r.expr)
		}
		for _, metric := range metrics {
			if !slices.Contains(served(), metric) {
				t.Errorf("%s looks at %q, which nobody serves", r.name, metric)
			}
		}
		if seen[r.name] {
			t.Errorf("there are two alerts %s", r.name)
		}
		seen[r.name] = true
		if r.severity != critical && r.severity != warning || r.summary == "" || r.wait == "" {
			t.Errorf("%s: severity %q, wait %q, summary %q", r.name, r.severity, r.wait, r.summary)
		}
	}
	for _, needed := range []string{"KafkaUnreachable", "KafkaBrokerMissing", "ConsumerLag", "DeadLetters", "ErrorRate"} {
		if !seen[needed] {
			t.Errorf("there is no alert %s", needed)
		}
	}
}

func TestMergeKeepsWhatIsNotNamed(t *testing.T) {
	base := map[string]any{"a": map[string]any{"b": 1, "c": 2}, "d": 3}
	got := merge(base, map[string]any{"a": map[string]any{"c": 4}, "e": 5})
	want := map[string]any{"a": map[string]any{"b": 1, "c": 4}, "d": 3, "e": 5}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if fmt.Sprint(base) != "map[a:map[b:1 c:2] d:3]" {
		t.Errorf("the chart's own values changed: %v", base)
	}
}

func TestSource(t *testing.T) {
	chart := Chart{Name: "keda", Repository: "https://example.com", Values: map[string]any{"a": 1}}
	if got := (Source{}).Apply(chart); got.location() != "keda" || got.Repository != chart.Repository {
		t.Errorf("untouched: %+v", got)
	}
	if got := (Source{Repository: "https://mirror"}).Apply(chart); got.location() != "keda" || got.Repository != "https://mirror" {
		t.Errorf("mirror: %+v", got)
	}
	got := (Source{Repository: "oci://registry.example.com/charts/"}).Apply(chart)
	if got.location() != "oci://registry.example.com/charts/keda" {
		t.Errorf("registry: %q", got.location())
	}
	if got := (Source{Folder: "charts"}).Apply(chart); got.location() != "charts/keda" || got.Repository != "" {
		t.Errorf("folder: %+v", got)
	}
	values := map[string]any{"keda": map[string]any{"a": 2}}
	if got := (Source{Values: values}).Apply(chart); got.Values["a"] != 2 {
		t.Errorf("values: %+v", got)
	}
}
