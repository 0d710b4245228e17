package dashboards

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var update = flag.Bool("update", false, "write the dashboards' JSON")

// folder is where the Pulumi program takes the dashboards from.
const folder = "../internal/addon/dashboards"

func TestTheCommittedDashboardsAreCurrent(t *testing.T) {
	var names []string
	for _, p := range pages() {
		built, err := p.build()
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(folder, p.name+".json")
		names = append(names, name)
		if *update {
			if err := os.WriteFile(name, built, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		committed, err := os.ReadFile(name)
		if err != nil || !bytes.Equal(committed, built) {
			t.Errorf("%s is stale (%v): go test -run %s -update", name, err, t.Name())
		}
	}
	found, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range found {
		if !slices.Contains(names, name) {
			t.Errorf("nobody makes %s", name)
		}
	}
}

func TestEveryPanelSaysWhatItShows(t *testing.T) {
	for _, p := range pages() {
		for _, row := range p.rows {
			for _, panel := range row.panels {
				if panel.description == "" || panel.unit == "" || len(panel.queries) == 0 {
					t.Errorf("%s: %q lacks a description, a unit or a query", p.name, panel.title)
				}
			}
		}
	}
}
