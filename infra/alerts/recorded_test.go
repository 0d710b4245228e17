package alerts

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	promql "github.com/prometheus/prometheus/promql/parser"
)

// TestAlertsOnRealBrokers evaluates the rules on what the guards of three of Apache Kafka's brokers told: none fires while all are
// well, and the right ones once the active controller was killed, which had the only replica of some partitions.
//
// The recordings name the tests that make them, on brokers as the stack declares them:
//
//	RECORDING=$PWD/infra/testdata/brokers make test-kafka
func TestAlertsOnRealBrokers(t *testing.T) {
	guards := readServices(t, "../../services/broker-guard").metrics
	for state, want := range map[string][]string{
		"well":     nil,
		"one-gone": {"PartitionsOffline", "PartitionsUnderMinISR", "PartitionsUnderReplicated", "QuorumLags"},
	} {
		told := recorded(t, state)
		var firing []string
		for name, rule := range rules(t) {
			metrics := metricsIn(t, rule.Expr)
			if !slices.ContainsFunc(metrics, func(metric string) bool { return guards[metric] != nil }) {
				continue
			}
			for _, metric := range metrics {
				if guards[metric] == nil {
					t.Errorf("%s reads %s, which a guard doesn't tell", name, metric)
				}
				if state == "well" && !slices.ContainsFunc(told, func(series string) bool { return strings.HasPrefix(series, metric+"{") }) {
					t.Errorf("%s reads %s, which was not recorded: record again", name, metric)
				}
			}
			if fires(t, rule, 0, told) {
				firing = append(firing, name)
			}
		}
		if slices.Sort(firing); !slices.Equal(firing, want) {
			t.Errorf("%s: %q fire, want %q", state, firing, want)
		}
	}
}

// TestAlertsNameTheBrokerThatIsGone evaluates those that tell of single nodes: each tells of the same one.
func TestAlertsNameTheBrokerThatIsGone(t *testing.T) {
	data, known := load(t, recorded(t, "one-gone"), time.Minute), rules(t)
	var nodes []string
	for _, name := range []string{"PartitionsUnderReplicated", "QuorumLags"} {
		for _, sample := range evaluate(t, known[name].Expr, data, time.Minute, time.Unix(0, 0)) {
			nodes = append(nodes, sample.Metric.Get("node"))
		}
	}
	if len(nodes) != 2 || nodes[0] != nodes[1] || nodes[0] == "" {
		t.Errorf("they tell of the nodes %q", nodes)
	}
}

// recorded returns what the guards told, as series that stay as they are.
func recorded(t *testing.T, state string) []string {
	t.Helper()
	text, err := os.ReadFile("../testdata/brokers/" + state + ".prom")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		if series, value, found := strings.Cut(strings.TrimSpace(line), "} "); found {
			all = append(all, series+"}"+strings.Repeat(" "+value, 60))
		}
	}
	return all
}

// metricsIn returns the names of an expression's metrics.
func metricsIn(t *testing.T, expr string) []string {
	t.Helper()
	parsed, err := language.ParseExpr(expr)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	promql.Inspect(parsed, func(node promql.Node, _ []promql.Node) error {
		if selector, ok := node.(*promql.VectorSelector); ok {
			names = append(names, selector.Name)
		}
		return nil
	})
	return names
}
