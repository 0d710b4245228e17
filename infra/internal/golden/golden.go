// Package golden compares generated content with committed files. It is for tests only.
package golden

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files and generated pages")

// Compare compares content with a file in testdata, or writes the file with -update.
func Compare(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s is missing; write it with: go test -run %s -update", name, t.Name())
	}
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(got) {
		t.Errorf("%s is stale; see the difference with: go test -run %q -update && git diff\n%s",
			name, t.Name(), firstDifference(string(want), string(got)))
	}
}

func firstDifference(want, got string) string {
	wanted, gotten := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range wanted {
		if i >= len(gotten) || wanted[i] != gotten[i] {
			after := "the end"
			if i < len(gotten) {
				after = gotten[i]
			}
			return "first difference in line " + strconv.Itoa(i+1) + ":\n- " + wanted[i] + "\n+ " + after
		}
	}
	return "lines were added at the end"
}
