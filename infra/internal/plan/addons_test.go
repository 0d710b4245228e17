package plan

import (
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
