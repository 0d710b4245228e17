package addon

import (
	"fmt"
	"testing"
)

func TestMergeKeepsWhatIsNotNamed(t *testing.T) {
	base := map[string]any{"a": map[string]any{"b": 1, "c": 2}, "d": 3}
	got := merge(base, map[string]any{"a": map[string]any{"c": 4}, "e": 5})
	want := map[string]any{"a": map[string]any{"b": 1, "c": 4}, "d": 3, "e": 5}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if fmt.Sprint(base) != "map[a:map[b:1 c:2] d:3]" {
		t.Errorf("the chart's own values changed: %v", base)
	}
}

func TestSource(t *testing.T) {
	chart := Chart{Name: "keda", Repository: "https://example.com", Values: map[string]any{"a": 1}}
	if got := (Source{}).Apply(chart); got.location() != "keda" || got.Repository != chart.Repository {
		t.Errorf("untouched: %+v", got)
	}
	if got := (Source{Repository: "https://mirror"}).Apply(chart); got.location() != "keda" || got.Repository != "https://mirror" {
		t.Errorf("mirror: %+v", got)
	}
	got := (Source{Repository: "oci://registry.example.com/charts/"}).Apply(chart)
	if got.location() != "oci://registry.example.com/charts/keda" {
		t.Errorf("registry: %q", got.location())
	}
	if got := (Source{Folder: "charts"}).Apply(chart); got.location() != "charts/keda" || got.Repository != "" {
		t.Errorf("folder: %+v", got)
	}
	values := map[string]any{"keda": map[string]any{"a": 2}}
	if got := (Source{Values: values}).Apply(chart); got.Values["a"] != 2 {
		t.Errorf("values: %+v", got)
	}
}
