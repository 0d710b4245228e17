package alerts

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	promql "github.com/prometheus/prometheus/promql/parser"
)

// scraped are the labels that Prometheus itself adds to the services' metrics.
var scraped = []string{"job", "instance", "service", "pod"}

// others are the metrics in the rules that are not the services' own: their labels by metric.
var others = map[string][]string{
	"up":                                                   {"job", "instance"},
	"kubelet_volume_stats_available_bytes":                 {"namespace", "persistentvolumeclaim"},
	"kubelet_volume_stats_capacity_bytes":                  {"namespace", "persistentvolumeclaim"},
	"kube_cronjob_status_last_schedule_time":               {"namespace", "cronjob"},
	"kube_cronjob_status_last_successful_time":             {"namespace", "cronjob"},
	"kube_cronjob_next_schedule_time":                      {"namespace", "cronjob"},
	"kube_pod_container_status_restarts_total":             {"namespace", "pod", "container", "uid"},
	"kube_statefulset_replicas":                            {"namespace", "statefulset"},
	"kube_statefulset_status_replicas_ready":               {"namespace", "statefulset"},
	"kube_deployment_status_replicas_available":            {"namespace", "deployment"},
	"kube_horizontalpodautoscaler_spec_max_replicas":       {"namespace", "horizontalpodautoscaler"},
	"kube_horizontalpodautoscaler_status_current_replicas": {"namespace", "horizontalpodautoscaler"},
}

// source is what is known of the services from their source code: their metrics with the labels, and every text in it.
type source struct {
	metrics map[string][]string
	texts   map[string]bool
}

func readServices(t *testing.T, folder string) source {
	t.Helper()
	found := source{metrics: map[string][]string{}, texts: map[string]bool{}}
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, found.note)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// note records a text, and a metric with its labels: a call with prometheus.…Opts as its first argument, or of
// prometheus.NewDesc.
func (s source) note(node ast.Node) bool {
	if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
		s.texts[text(literal)] = true
	}
	call, ok := node.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return true
	}
	if function, ok := call.Fun.(*ast.SelectorExpr); ok && function.Sel.Name == "NewDesc" {
		s.metrics[text(call.Args[0])] = append(slices.Clone(scraped), listed(call.Args[1:]...)...)
		return true
	}
	options, ok := call.Args[0].(*ast.CompositeLit)
	if !ok {
		return true
	}
	if kind, ok := options.Type.(*ast.SelectorExpr); !ok || !strings.HasSuffix(kind.Sel.Name, "Opts") {
		return true
	}
	name, kind := "", options.Type.(*ast.SelectorExpr).Sel.Name
	names := append(slices.Clone(scraped), listed(call.Args[1:]...)...)
	for _, element := range options.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		switch pair.Key.(*ast.Ident).Name {
		case "Name":
			name = text(pair.Value)
		case "ConstLabels":
			names = append(names, listed(pair.Value)...)
		}
	}
	if kind == "HistogramOpts" {
		s.metrics[name+"_bucket"] = append(slices.Clone(names), "le")
		s.metrics[name+"_count"], s.metrics[name+"_sum"] = names, names
		return true
	}
	s.metrics[name] = names
	return true
}

// listed returns the texts in lists, and the keys of maps.
func listed(arguments ...ast.Expr) []string {
	var texts []string
	for _, argument := range arguments {
		list, ok := argument.(*ast.CompositeLit)
		if !ok {
			continue
		}
		for _, element := range list.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				element = pair.Key
			}
			texts = append(texts, text(element))
		}
	}
	return texts
}

func text(node ast.Node) string {
	literal, ok := node.(*ast.BasicLit)
	if !ok {
		return ""
	}
	value, _ := strconv.Unquote(literal.Value)
	return value
}

// cluster are the label values that come from the cluster, not from the services.
var cluster = []string{"shop", "shop-data", "shop|shop-data", "kafka", "kafka(-.+)?", "mongodb", "web-server"}

// says reports whether a matcher's value can occur.
func (s source) says(m *labels.Matcher) bool {
	if slices.Contains(cluster, m.Value) {
		return true
	}
	if m.Name == "le" {
		return true // TestCountersExistBeforeTheyCount looks for the bucket
	}
	if m.Name == "code" {
		return regexp.MustCompile(`^[2-5](\.\.|[0-9]{2})$`).MatchString(m.Value)
	}
	if _, err := strconv.ParseBool(m.Value); err == nil {
		return true
	}
	for _, choice := range strings.Split(m.Value, "|") {
		plain := strings.ReplaceAll(choice, ".*", "")
		if !slices.ContainsFunc(slices.Collect(maps.Keys(s.texts)), func(text string) bool {
			return text == plain || plain != choice && strings.Contains(text, plain)
		}) {
			return false
		}
	}
	return true
}

// TestAlertsLookAtWhatIsServed compares every metric, label and value in the rules with the sources of the services.
func TestAlertsLookAtWhatIsServed(t *testing.T) {
	services := readServices(t, "../../services")
	maps.Copy(services.metrics, others)
	for name, rule := range rules(t) {
		expression, err := language.ParseExpr(rule.Expr)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		known := map[string]bool{}
		metrics := 0
		promql.Inspect(expression, func(node promql.Node, _ []promql.Node) error {
			selector, ok := node.(*promql.VectorSelector)
			if !ok {
				return nil
			}
			metrics++
			served, ok := services.metrics[selector.Name]
			if !ok {
				t.Errorf("%s looks at %s, which nobody serves", name, selector.Name)
				return nil
			}
			for _, label := range served {
				known[label] = true
			}
			for _, m := range selector.LabelMatchers {
				if m.Name == model.MetricNameLabel {
					continue
				}
				if !slices.Contains(served, m.Name) {
					t.Errorf("%s: %s has no label %s", name, selector.Name, m.Name)
				}
				if !services.says(m) {
					t.Errorf("%s: nothing sets %s to %q", name, m.Name, m.Value)
				}
			}
			return nil
		})
		promql.Inspect(expression, func(node promql.Node, _ []promql.Node) error {
			if aggregate, ok := node.(*promql.AggregateExpr); ok {
				for _, label := range aggregate.Grouping {
					if !known[label] {
						t.Errorf("%s: groups by %s, which none of its metrics has", name, label)
					}
				}
			}
			return nil
		})
		if metrics == 0 {
			t.Errorf("%s looks at no metric", name)
		}
		for _, field := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(rule.Annotations["summary"], -1) {
			if !known[field[1]] {
				t.Errorf("%s: its summary names the label %s, which none of its metrics has", name, field[1])
			}
		}
	}
}
