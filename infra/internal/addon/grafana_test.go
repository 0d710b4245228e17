package addon

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// Each committed dashboard is in the release as it is, and asks the data source that the release declares.
func TestGrafanaHasEveryDashboard(t *testing.T) {
	chart := Grafana("monitoring")
	shown := chart.Values["dashboards"].(map[string]any)["shopstream"].(map[string]any)
	committed, err := os.ReadDir("dashboards")
	if err != nil {
		t.Fatal(err)
	}
	if len(committed) != len(shown) {
		t.Errorf("%d dashboards are committed, %d are shown", len(committed), len(shown))
	}
	for _, file := range committed {
		name := strings.TrimSuffix(file.Name(), ".json")
		dashboard, found := shown[name].(map[string]any)
		if !found {
			t.Errorf("%s is not shown", name)
			continue
		}
		text, err := os.ReadFile("dashboards/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := decoded(t, dashboard["json"].(string)), decoded(t, string(text)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is another one than the committed", name)
		}
		source := chart.Values["datasources"].(map[string]any)["datasources.yaml"].(map[string]any)["datasources"].([]any)[0].(map[string]any)["uid"]
		if want := fmt.Sprintf("%q: %q", "uid", source); strings.Count(string(text), want) == 0 {
			t.Errorf("%s doesn't ask the data source %s", name, source)
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
