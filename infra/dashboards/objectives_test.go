package dashboards

import (
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestObjectivesAreThoseOfTheAlerts finds each objective's share of bad events, and each alert on an objective, in the other.
func TestObjectivesAreThoseOfTheAlerts(t *testing.T) {
	alerts := map[string]string{} // by the objective's name
	for name, expr := range alertExpressions(t) {
		if objective, is := strings.CutSuffix(name, "BurnsFast"); is {
			alerts[objective] = expr
		}
	}
	if len(alerts) == 0 {
		t.Fatal("there is no alert on an objective")
	}
	for _, o := range objectives() {
		if !strings.HasPrefix(alerts[o.name], "("+o.in("1h")+" > ") {
			t.Errorf("%s asks %q, and its alert %q", o.name, o.in("1h"), alerts[o.name])
		}
		delete(alerts, o.name)
	}
	for name := range alerts {
		t.Errorf("no dashboard shows %s", name)
	}
}

func alertExpressions(t *testing.T) map[string]string {
	t.Helper()
	manifests, err := os.ReadFile("../testdata/manifests/dev.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for document := range strings.SplitSeq(string(manifests), "\n---\n") {
		var release struct {
			Values struct {
				ServerFiles struct {
					Rules struct {
						Groups []struct {
							Rules []struct{ Alert, Expr string }
						}
					} `yaml:"alerting_rules.yml"`
				} `yaml:"serverFiles"`
			}
		}
		if err := yaml.Unmarshal([]byte(document), &release); err != nil {
			continue // another kind of document
		}
		for _, group := range release.Values.ServerFiles.Rules.Groups {
			for _, rule := range group.Rules {
				found[rule.Alert] = rule.Expr
			}
		}
	}
	return found
}
