package addon

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// Each committed dashboard is in the release, and asks the data source that the release declares.
func TestGrafanaHasEveryDashboard(t *testing.T) {
	chart := Grafana("monitoring", "")
	source := chart.Values["datasources"].(map[string]any)["datasources.yaml"].(map[string]any)["datasources"].([]any)[0].(map[string]any)["uid"]
	committed, err := os.ReadDir("dashboards")
	if err != nil {
		t.Fatal(err)
	}
	if len(committed) != len(chart.Files) {
		t.Errorf("%d dashboards are committed, %d are shown", len(committed), len(chart.Files))
	}
	for _, file := range committed {
		text, err := os.ReadFile("dashboards/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		if shown, want := decoded(t, chart.Files[file.Name()]), decoded(t, string(text)); !reflect.DeepEqual(shown, want) {
			t.Errorf("%s is not shown as it is committed", file.Name())
		}
		if !strings.Contains(string(text), fmt.Sprintf("%q: %q", "uid", source)) {
			t.Errorf("%s doesn't ask the data source %s", file.Name(), source)
		}
	}
}

func decoded(t *testing.T, text string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}
