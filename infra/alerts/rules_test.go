package alerts

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

var language = parser.NewParser(parser.Options{})

// release is the part of Prometheus's Helm release that is read here.
type release struct {
	Chart  string
	Values struct {
		ServerFiles struct {
			Rules yaml.Node `yaml:"alerting_rules.yml"`
		} `yaml:"serverFiles"`
	}
}

// rules returns the alert rules of the dev stack, checked as promtool checks them.
func rules(t *testing.T) map[string]rulefmt.Rule {
	t.Helper()
	manifests, err := os.ReadFile("../testdata/manifests/dev.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(manifests), "\n---\n") {
		var r release
		if err := yaml.Unmarshal([]byte(document), &r); err != nil || r.Chart != "prometheus" {
			continue
		}
		encoded, err := yaml.Marshal(&r.Values.ServerFiles.Rules)
		if err != nil {
			t.Fatal(err)
		}
		groups, faults := rulefmt.Parse(encoded, false, model.UTF8Validation, language, slog.New(slog.DiscardHandler))
		for _, fault := range faults {
			t.Error(fault)
		}
		if groups == nil {
			t.Fatal("there are no rules that can be read")
		}
		found := map[string]rulefmt.Rule{}
		for _, group := range groups.Groups {
			for _, rule := range group.Rules {
				if _, twice := found[rule.Alert]; twice {
					t.Errorf("there are two alerts %s", rule.Alert)
				}
				found[rule.Alert] = rule
			}
		}
		return found
	}
	t.Fatal("there is no release of prometheus")
	return nil
}

func TestAlertsSayHowBadItIsAndWhatItMeans(t *testing.T) {
	for name, rule := range rules(t) {
		if severity := rule.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s: severity %q", name, severity)
		}
		if rule.Annotations["summary"] == "" {
			t.Errorf("%s has no summary", name)
		}
	}
}
