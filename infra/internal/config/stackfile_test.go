package config

import (
	"os"
	"path/filepath"
	"strings"
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

// TestStackFilesAreReadAsPulumiReadsThem has what YAML 1.1 and 1.2 read in different ways.
func TestStackFilesAreReadAsPulumiReadsThem(t *testing.T) {
	for content, want := range map[string]string{
		"{brokers: 0o3}":                  `{"brokers":3}`,
		"{zones: yes, build: off}":        `{"build":"off","zones":"yes"}`,
		"{storage: 5e9, partitions: 1_0}": `{"partitions":10,"storage":5000000000}`,
		"{tcp: [{80: {8080: a}}], 1: 2}":  `{"1":2,"tcp":[{"80":{"8080":"a"}}]}`,
		"~":                               "",
		"&all {brokers: 3, cpu: \"1\"}":   `{"brokers":3,"cpu":"1"}`,
		"{<<: {brokers: 3}, heap: 1Gi}":   `{"brokers":3,"heap":"1Gi"}`,
	} {
		settings, err := readStack(t, "config:\n  shopstream:kafka: "+content+"\n")
		if err != nil || settings["kafka"] != want {
			t.Errorf("%s is %s, %v, want %s", content, settings["kafka"], err, want)
		}
	}
}

func TestAStackFileThatIsAmbiguousIsRefused(t *testing.T) {
	for name, content := range map[string]string{
		"a setting twice":  "config:\n  shopstream:logLevel: info\n  shopstream:logLevel: debug\n",
		"a key twice":      "config:\n  shopstream:kafka: {brokers: 3, brokers: 1}\n",
		"config twice":     "config: {}\nconfig: {}\n",
		"no number":        "config:\n  shopstream:kafka: {brokers: .inf}\n",
		"a list":           "config: [1]\n",
		"a misspelt key":   "confg:\n  shopstream:logLevel: debug\n",
		"a capital":        "Config:\n  shopstream:logLevel: debug\n",
		"two documents":    "config: {}\n---\nconfig:\n  shopstream:logLevel: debug\n",
		"a misspelt owner": "config:\n  shopstrean:kafka: {brokers: 1}\n",
		"with and without": "config:\n  shopstream:kafka: {brokers: 3}\n  kafka: {brokers: 1}\n",
	} {
		if settings, err := readStack(t, content); err == nil || !strings.Contains(err.Error(), "Pulumi.mine.yaml") {
			t.Errorf("%s: read %q, %v", name, settings, err)
		}
	}
}

func TestAStackFileOfPulumiIsRead(t *testing.T) {
	settings, err := readStack(t, "secretsprovider: passphrase\nencryptionsalt: v1:a\nencryptedkey: b\nenvironment: [team]\n"+
		"config:\n  aws:region: eu\n  kubernetes:cluster: c\n  logLevel: debug # pulumi adds the project's name\n  shopstream:keepVolumes: \"true\"\n")
	if err != nil || settings["logLevel"] != "debug" || settings["keepVolumes"] != "true" || len(settings) != 2 {
		t.Errorf("read %q, %v", settings, err)
	}
	if settings, err := readStack(t, ""); err != nil || len(settings) != 0 {
		t.Errorf("read %q, %v from an empty file", settings, err)
	}
}

func readStack(t *testing.T, content string) (map[string]string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "Pulumi.mine.yaml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return ReadStackFile(file)
}
