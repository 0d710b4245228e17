package alerts

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	promql "github.com/prometheus/prometheus/promql/parser"
)

// started is every series of a counter that the services have when they start, with the labels that Prometheus adds.
type started []labels.Labels

// has reports whether one of the series has these labels.
func (s started) has(matchers []*labels.Matcher) bool {
	return slices.ContainsFunc(s, func(l labels.Labels) bool { return matches(l, matchers) })
}

var scrapeOnce = sync.OnceValues(scrape)

// atStart returns the metrics of the real services before anything has happened: there is no broker and no database.
func atStart(t *testing.T) started {
	t.Helper()
	series, err := scrapeOnce()
	if err != nil {
		t.Fatal(err)
	}
	return series
}

func scrape() (started, error) {
	folder, err := os.MkdirTemp("", "services")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	services := []string{"web-server", "management-api", "api", "producer", "consumer"}
	build := exec.Command("go", "build", "-o", folder)
	for _, service := range services {
		build.Args = append(build.Args, "./services/"+service)
	}
	build.Dir = "../.."
	build.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GOWORK=") })
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the services: %w: %s", err, output)
	}
	var all started
	for _, service := range services {
		families, err := scrapeService(filepath.Join(folder, service))
		if err != nil {
			return nil, fmt.Errorf("starting %s: %w", service, err)
		}
		for _, family := range families {
			all = append(all, counters(service, family)...)
		}
	}
	return all, nil
}

// scrapeService starts a service, reads its metrics, and stops it.
func scrapeService(binary string) (map[string]*dto.MetricFamily, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	_ = listener.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	service := exec.CommandContext(ctx, binary)
	service.Env = []string{
		"HTTP_ADDR=" + address, "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1",
		"MONGO_URI=mongodb://127.0.0.1:1", "MANAGEMENT_API_URL=http://127.0.0.1:1",
	}
	var said strings.Builder
	service.Stdout, service.Stderr = &said, &said
	if err := service.Start(); err != nil {
		return nil, err
	}
	defer func() {
		cancel()
		_ = service.Wait()
	}()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{Proxy: nil}}
	for {
		answer, err := client.Get("http://" + address + "/metrics")
		if err == nil {
			defer func() { _ = answer.Body.Close() }()
			parser := expfmt.NewTextParser(model.UTF8Validation)
			return parser.TextToMetricFamilies(answer.Body)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("it serves no metrics: %w: %s", err, said.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// counters returns the series of a counter or a histogram; gauges need no value before the first.
func counters(service string, family *dto.MetricFamily) started {
	var all started
	add := func(name string, metric *dto.Metric, more ...string) {
		l := labels.NewBuilder(labels.FromStrings(append([]string{
			model.MetricNameLabel, name, "job", "shopstream", "service", service, "pod", service + "-0", "instance", service + "-0",
		}, more...)...))
		for _, pair := range metric.GetLabel() {
			l.Set(pair.GetName(), pair.GetValue())
		}
		all = append(all, l.Labels())
	}
	for _, metric := range family.GetMetric() {
		switch family.GetType() {
		case dto.MetricType_COUNTER:
			add(family.GetName(), metric)
		case dto.MetricType_HISTOGRAM:
			add(family.GetName()+"_count", metric)
			add(family.GetName()+"_sum", metric)
			for _, bucket := range metric.GetHistogram().GetBucket() {
				add(family.GetName()+"_bucket", metric, "le", boundOf(bucket.GetUpperBound()))
			}
		}
	}
	return all
}

// boundOf writes the bound of a bucket as Prometheus 3 does: a whole number with a decimal.
func boundOf(bound float64) string {
	text := strconv.FormatFloat(bound, 'g', -1, 64)
	if !strings.ContainsAny(text, ".eIN") {
		text += ".0"
	}
	return text
}

// isCounter distinguishes the services' counters and histograms from gauges and from other programs' metrics.
func isCounter(metric string) bool {
	if _, ok := others[metric]; ok {
		return false
	}
	return slices.ContainsFunc([]string{"_total", "_count", "_sum", "_bucket"}, func(end string) bool { return strings.HasSuffix(metric, end) })
}

// TestCountersExistBeforeTheyCount compares every counter in an alert with the services' metrics at their start. There is
// no increase from nothing to a first value, so a counter that appears with its first error would hide it.
func TestCountersExistBeforeTheyCount(t *testing.T) {
	series := atStart(t)
	for name, rule := range rules(t) {
		expression, err := language.ParseExpr(rule.Expr)
		if err != nil {
			t.Fatal(err)
		}
		promql.Inspect(expression, func(node promql.Node, _ []promql.Node) error {
			if selector, ok := node.(*promql.VectorSelector); ok && isCounter(selector.Name) && !series.has(selector.LabelMatchers) {
				t.Errorf("%s reads %s, and no service has it when it starts", name, selector)
			}
			return nil
		})
	}
}

// TestEveryLabelValueExistsBeforeItCounts finds the possible label values of those counters in the sources.
func TestEveryLabelValueExistsBeforeItCounts(t *testing.T) {
	series := atStart(t)
	for _, c := range []struct{ service, metric, label, folder, constants string }{
		{"web-server", "kafka_produce_errors_total", "reason", "internal/kafkax", "reason"},
		{"producer", "kafka_produce_errors_total", "reason", "internal/kafkax", "reason"},
		{"management-api", "kafka_produce_errors_total", "reason", "internal/kafkax", "reason"},
		{"management-api", "dead_letters_total", "reason", "management-api", "reason"},
		{"consumer", "dead_letters_total", "reason", "consumer", "reason"},
		{"consumer", "transactions_total", "outcome", "consumer", "outcome"},
		{"management-api", "kafka_log_changes_total", "kind", "internal/kafkax", "Log"},
		{"consumer", "kafka_log_changes_total", "kind", "internal/kafkax", "Log"},
	} {
		values := constants(t, c.folder, c.constants)
		if len(values) == 0 {
			t.Errorf("%s has no constants %s…", c.folder, c.constants)
		}
		for _, value := range values {
			if !series.has(matchersOf(model.MetricNameLabel, c.metric, "service", c.service, c.label, value)) {
				t.Errorf("%s starts without %s{%s=%q}", c.service, c.metric, c.label, value)
			}
		}
	}
	for _, complete := range []string{"true", "false"} {
		if !series.has(matchersOf(model.MetricNameLabel, "messages_read_duration_seconds_count", "complete", complete)) {
			t.Errorf("api starts without a read that is complete=%s", complete)
		}
	}
	for service, codes := range failures(t) {
		for _, code := range codes {
			for _, l := range series {
				if l.Get(model.MetricNameLabel) == "http_requests_total" && l.Get("service") == service &&
					!series.has(matchersOf(model.MetricNameLabel, "http_requests_total", "service", service, "route", l.Get("route"), "method", l.Get("method"), "code", code)) {
					t.Errorf("%s answers %s, and %s starts without a count of it", service, code, l.Get("route"))
				}
			}
		}
	}
}

// TestThresholdsAreBuckets compares what a quantile is held against with the histogram's buckets. Between two of them a quantile is a
// guess, which may be too high or too low by half.
func TestThresholdsAreBuckets(t *testing.T) {
	series := atStart(t)
	compared := 0
	for name, rule := range rules(t) {
		expression, err := language.ParseExpr(rule.Expr)
		if err != nil {
			t.Fatal(err)
		}
		promql.Inspect(expression, func(node promql.Node, _ []promql.Node) error {
			comparison, ok := node.(*promql.BinaryExpr)
			if !ok || !comparison.Op.IsComparisonOperator() {
				return nil
			}
			quantile, isCall := comparison.LHS.(*promql.Call)
			threshold, isNumber := comparison.RHS.(*promql.NumberLiteral)
			if !isCall || !isNumber || quantile.Func.Name != "histogram_quantile" {
				return nil
			}
			promql.Inspect(quantile, func(node promql.Node, _ []promql.Node) error {
				if selector, ok := node.(*promql.VectorSelector); ok {
					compared++
					bucket := append(slices.Clone(selector.LabelMatchers), matchersOf("le", boundOf(threshold.Val))...)
					if !series.has(bucket) {
						t.Errorf("%s is held against %g, which is no bucket of %s", name, threshold.Val, selector)
					}
				}
				return nil
			})
			return nil
		})
	}
	if compared < 3 {
		t.Errorf("only %d thresholds were compared", compared)
	}
}

func matchersOf(pairs ...string) []*labels.Matcher {
	var all []*labels.Matcher
	for pair := range slices.Chunk(pairs, 2) {
		all = append(all, labels.MustNewMatcher(labels.MatchEqual, pair[0], pair[1]))
	}
	return all
}

// constants returns the values of a package's text constants whose names have this prefix.
func constants(t *testing.T, folder, prefix string) []string {
	t.Helper()
	var values []string
	inspect(t, folder, func(node ast.Node) {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return
		}
		for i, name := range spec.Names {
			if strings.HasPrefix(name.Name, prefix) && i < len(spec.Values) {
				if value := text(spec.Values[i]); value != "" {
					values = append(values, value)
				}
			}
		}
	})
	return values
}

// failures returns the status codes from 500 on that occur in each service's sources.
func failures(t *testing.T) map[string][]string {
	t.Helper()
	codes := map[string][]string{}
	for _, service := range []string{"web-server", "management-api", "api", "producer", "consumer"} {
		for _, folder := range []string{service, "internal/httpx"} {
			inspect(t, folder, func(node ast.Node) {
				selector, ok := node.(*ast.SelectorExpr)
				if !ok {
					return
				}
				for code := 500; code < 600; code++ {
					if name := strings.ReplaceAll(http.StatusText(code), " ", ""); name != "" && "Status"+name == selector.Sel.Name {
						codes[service] = append(codes[service], strconv.Itoa(code))
					}
				}
			})
		}
	}
	return codes
}

func inspect(t *testing.T, folder string, visit func(ast.Node)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../../services", folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			visit(node)
			return true
		})
	}
}
