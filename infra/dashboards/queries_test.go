package dashboards

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// TestEveryQueryFindsSomething evaluates each query of the committed dashboards with Prometheus's engine, on what was scraped while
// the platform ran and was used. A metric or a label that is renamed leaves a query empty.
func TestEveryQueryFindsSomething(t *testing.T) {
	data := scraped(t)
	language := parser.NewParser(parser.Options{})
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, Parser: language})
	t.Cleanup(func() { _ = engine.Close() })
	evaluate := func(expr string) (promql.Vector, error) {
		query, err := engine.NewInstantQuery(t.Context(), data, nil, expr, data.end)
		if err != nil {
			return nil, err
		}
		defer query.Close()
		vector, err := query.Exec(t.Context()).Vector()
		return slices.Clone(vector), err
	}
	count := 0
	for _, target := range committed(t) {
		for _, service := range target.services() {
			expr := strings.NewReplacer("$__rate_interval", data.length.String(), "$service", service).Replace(target.expr)
			count++
			found, err := evaluate(expr)
			if err != nil {
				t.Errorf("%s: %q: %v", target.page, target.panel, err)
				continue
			}
			known := slices.ContainsFunc(found, func(s promql.Sample) bool { return !math.IsNaN(s.F) })
			if !known {
				t.Errorf("%s: %q is empty: %s", target.page, target.panel, expr)
			}
			for _, label := range target.labels() {
				if !slices.ContainsFunc(found, func(s promql.Sample) bool { return s.Metric.Get(label) != "" }) {
					t.Errorf("%s: %q names the label %s, which nothing has that it shows", target.page, target.panel, label)
				}
			}
		}
	}
	if count < 50 {
		t.Errorf("only %d queries were tried", count)
	}
	// A query that must be empty, so that the test itself is known to notice one.
	if found, err := evaluate(`sum(rate(purchases_kept_total[` + data.length.String() + `]))`); err != nil || len(found) > 0 {
		t.Errorf("a metric that nobody serves has %v (%v)", found, err)
	}
}

// target is a query of a committed dashboard.
type target struct{ page, panel, expr, legend string }

// services are those that a page is looked at for.
func (q target) services() []string {
	if !strings.Contains(q.expr, "$service") {
		return []string{""}
	}
	return []string{"web-server", "management-api", "api", "producer", "consumer"}
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
