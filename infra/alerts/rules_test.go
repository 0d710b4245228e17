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

// TestAlertsLeadToTheirParagraphs compares the alerts with the headings of the page that says what to do.
func TestAlertsLeadToTheirParagraphs(t *testing.T) {
	const page = "docs/alerts.md"
	text, err := os.ReadFile("../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	led := map[string]bool{} // paragraphs that an alert leads to
	for heading, paragraph := range paragraphs(string(text)) {
		if strings.TrimSpace(paragraph) == "" {
			t.Errorf("%s says nothing of %s", page, heading)
		}
		led[strings.ToLower(heading)] = false
	}
	for name, rule := range rules(t) {
		file, anchor, _ := strings.Cut(rule.Annotations["runbook_url"], "#")
		if _, found := led[anchor]; !found || file != page {
			t.Errorf("%s leads to %q, which is not there", name, rule.Annotations["runbook_url"])
		}
		led[anchor] = true
	}
	for anchor, reached := range led {
		if !reached {
			t.Errorf("no alert leads to %s#%s", page, anchor)
		}
	}
}

// paragraphs returns the texts below the headings of the third level.
func paragraphs(page string) map[string]string {
	found := map[string]string{}
	for _, section := range strings.Split(page, "\n### ")[1:] {
		heading, text, _ := strings.Cut(section, "\n")
		text, _, _ = strings.Cut(text, "\n## ")
		found[heading] = text
	}
	return found
}
