// Package envconftest compares a service's env.json with its configuration struct. The
// documentation and the deployment's tests read that file.
package envconftest

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"shopstream/services/internal/envconf"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Golden fails if env.json differs from the description of T; with -update it writes the
// file.
func Golden[T any](t *testing.T) {
	t.Helper()
	fields := envconf.Describe[T]()
	seen := map[string]bool{}
	for _, f := range fields {
		if f.Doc == "" {
			t.Errorf("%s has no doc tag", f.Name)
		}
		if seen[f.Name] {
			t.Errorf("%s is read twice", f.Name)
		}
		seen[f.Name] = true
	}
	got, err := json.MarshalIndent(fields, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile("env.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("env.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("env.json is stale: run `make docs`")
	}
}
