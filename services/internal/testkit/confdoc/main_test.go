package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestThePageIsCurrent(t *testing.T) {
	root := filepath.Join("..", "..", "..", "..")
	want, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, output))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/configuration.md is stale: run `make docs`")
	}
}
