package dashboards

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// onlyRealBrokers tell these metrics: that of a run on one machine has neither a quorum nor features nor a certificate.
var onlyRealBrokers = regexp.MustCompile("^kafka_(active_controller|quorum_|feature_|certificate_)")

// TestEveryQueryFindsSomething evaluates each query of the committed dashboards with Prometheus's engine: on what was scraped while
// the platform ran and was used, with a guard beside its broker; and the queries that only read what guards tell, on what those of
// real brokers told too. A metric or a label that is renamed leaves a query empty.
func TestEveryQueryFindsSomething(t *testing.T) {
	run := scraped(t)
	brokers, guards := recorded(t)
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, Parser: language})
	t.Cleanup(func() { _ = engine.Close() })
	evaluate := func(expr string, data record) (promql.Vector, error) {
		query, err := engine.NewInstantQuery(t.Context(), data, nil, expr, data.end)
		if err != nil {
			return nil, err
		}
		defer query.Close()
		vector, err := query.Exec(t.Context()).Vector()
		return slices.Clone(vector), err
	}
	onRun, onBrokers := 0, 0
	for _, target := range committed(t) {
		for _, service := range target.services() {
			try := func(where string, data record) {
				expr := strings.NewReplacer("$__rate_interval", data.length.String(), "$service", service).Replace(target.expr)
				found, err := evaluate(expr, data)
				if err != nil {
					t.Errorf("%s: %q: %v", target.page, target.panel, err)
					return
				}
				known := slices.ContainsFunc(found, func(s promql.Sample) bool { return !math.IsNaN(s.F) })
				if !known {
					t.Errorf("%s: %q is empty on %s: %s", target.page, target.panel, where, expr)
				}
				for _, label := range target.labels() {
					if !slices.ContainsFunc(found, func(s promql.Sample) bool { return s.Metric.Get(label) != "" }) {
						t.Errorf("%s: %q names the label %s, which nothing has that it shows of %s", target.page, target.panel, label, where)
					}
				}
			}
			metrics := target.metrics(t)
			if !slices.ContainsFunc(metrics, onlyRealBrokers.MatchString) {
				onRun++
				try("a run", run)
			}
			if !slices.ContainsFunc(metrics, func(metric string) bool { return !slices.Contains(guards, metric) }) {
				onBrokers++
				try("real brokers", brokers)
			}
		}
	}
	if onRun < 50 || onBrokers < 15 {
		t.Errorf("only %d queries were tried on a run, and %d on real brokers", onRun, onBrokers)
	}
	// A query that must be empty, so that the test itself is known to notice one.
	if found, err := evaluate(`sum(rate(purchases_kept_total[`+run.length.String()+`]))`, run); err != nil || len(found) > 0 {
		t.Errorf("a metric that nobody serves has %v (%v)", found, err)
	}
}

var language = parser.NewParser(parser.Options{})

// target is a query of a committed dashboard.
type target struct{ page, panel, expr, legend string }

// services are those that a page is looked at for.
func (q target) services() []string {
	if !strings.Contains(q.expr, "$service") {
		return []string{""}
	}
	return []string{"web-server", "management-api", "api", "producer", "consumer"}
}

// metrics are those that it reads.
func (q target) metrics(t *testing.T) []string {
	t.Helper()
	parsed, err := language.ParseExpr(strings.ReplaceAll(q.expr, "$__rate_interval", "1m"))
	if err != nil {
		t.Fatalf("%s: %q: %v", q.page, q.panel, err)
	}
	var names []string
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			names = append(names, selector.Name)
		}
		return nil
	})
	return names
}

// labels are those in the legend.
func (q target) labels() []string {
	var names []string
	for _, part := range strings.Split(q.legend, "{{")[1:] {
		name, _, _ := strings.Cut(part, "}}")
		names = append(names, name)
	}
	return names
}

// committed returns all queries of the committed dashboards.
func committed(t *testing.T) []target {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []target
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			Panels []struct {
				Type, Title string
				Targets     []struct{ Expr, LegendFormat string }
			}
		}
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, p := range d.Panels {
			if p.Type != "row" && len(p.Targets) == 0 {
				t.Errorf("%s: %q has no query", name, p.Title)
			}
			for _, q := range p.Targets {
				all = append(all, target{filepath.Base(name), p.Title, q.Expr, q.LegendFormat})
			}
		}
	}
	return all
}
