package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReadStackTellsSecretsFromASettingOfThatName(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Pulumi.mine.yaml")
	content := "config:\n  shopstream:kafka: {secure: true}\n  shopstream:apiToken: {secure: AAAB}\n  other:key: 1\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	settings, err := ReadStackFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := settings["kafka"]; got != `{"secure":true}` {
		t.Errorf("kafka is %q", got)
	}
	if len(settings) != 1 {
		t.Errorf("read %q", settings)
	}
}
