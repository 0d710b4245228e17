package plan

import (
	"fmt"
	"strings"
	"testing"

	"shopstream/infra/internal/addon"
	"shopstream/infra/internal/config"
)

// chart returns the chart with that name as a stack with these settings installs it.
func chart(t *testing.T, name string, settings map[string]string) addon.Chart {
	t.Helper()
	c, _, err := config.Load(settings)
	if err != nil {
		t.Fatal(err)
	}
	for _, chart := range Charts(c) {
		if chart.Name == name {
			return chart
		}
	}
	t.Fatalf("there is no chart %q", name)
	return addon.Chart{}
}

// value returns the value at a path of a chart's values.
func value(c addon.Chart, path ...string) any {
	var at any = c.Values
	for _, key := range path {
		inner, _ := at.(map[string]any)
		at = inner[key]
	}
	return at
}

// TestKEDAReadsWhatItScales: otherwise its operator could read every Secret of the cluster.
func TestKEDAReadsWhatItScales(t *testing.T) {
	for secure, restricted := range map[string]bool{"false": true, "true": false} {
		keda := chart(t, "keda", map[string]string{"kafka": `{"secure": ` + secure + `}`})
		if got := value(keda, "watchNamespace"); got != AppNamespace {
			t.Errorf("it watches %q", got)
		}
		if got := value(keda, "rbac", "enabledCustomScaledRefKinds"); got != false {
			t.Error("it may scale objects of every kind")
		}
		if got := value(keda, "permissions", "operator", "restrict", "secret"); got != restricted {
			t.Errorf("with kafka.secure %s, restrict.secret is %v", secure, got)
		}
	}
}

// TestJaegerKeepsNoMoreThanFits: it is bounded, it meets Pod Security, and there is room for it wherever it may be turned on.
func TestJaegerKeepsNoMoreThanFits(t *testing.T) {
	jaeger := chart(t, "jaeger", map[string]string{"addons": `{"jaeger": true}`})
	if most := value(jaeger, "userconfig", "extensions", "jaeger_storage", "backends", "memory", "memory", "max_traces"); most != 10_000 {
		t.Errorf("it keeps %v traces", most)
	}
	if value(jaeger, "jaeger", "serviceAccount", "automountServiceAccountToken") != false {
		t.Error("it has a token for the API server")
	}
	for _, profile := range config.Profiles() {
		c, _, err := config.Load(map[string]string{"profile": profile, "addons": `{"jaeger": true}`})
		if err != nil {
			t.Fatal(err)
		}
		without := c
		without.Addons.Jaeger = false
		_, memory := Total(Demands(c))
		_, before := Total(Demands(without))
		memory.Sub(before)
		if asked := jaeger.Demands[0].Resources.Memory; memory.Cmp(asked) != 0 {
			t.Errorf("%s: the budget counts %s for it, and its pod asks for %s", profile, memory.String(), asked.String())
		}
		if faults := checkBudget(c); len(faults) > 0 {
			t.Errorf("%s: there is no room for it: %v", profile, faults)
		}
	}
}

// TestExemplarsLeadToTraces: Grafana replaces a variable in the file unless its $ is doubled.
func TestExemplarsLeadToTraces(t *testing.T) {
	grafana := chart(t, "grafana", map[string]string{"tracing": `{"url": "http://localhost:16686/trace/{id}"}`})
	source := value(grafana, "datasources", "datasources.yaml", "datasources").([]any)[0].(map[string]any)["jsonData"]
	if got := fmt.Sprint(source.(map[string]any)["exemplarTraceIdDestinations"]); !strings.Contains(got, "url:http://localhost:16686/trace/$${__value.raw}") {
		t.Errorf("they lead to %s", got)
	}
}
