package platform

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shopstream/infra/internal/addon"
	"shopstream/infra/internal/config"
	"shopstream/infra/internal/manifest"
)

func TestFindChart(t *testing.T) {
	repository := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/charts/index.yaml" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer repository.Close()
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "keda"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "keda", "Chart.yaml"), nil, 0o644); err != nil {
		t.Fatal(err)
	}

	for name, test := range map[string]struct {
		chart addon.Chart
		found bool
	}{
		"a repository":       {addon.Chart{Repository: repository.URL + "/charts/"}, true},
		"no repository":      {addon.Chart{Repository: repository.URL + "/other"}, false},
		"nobody answers":     {addon.Chart{Repository: "http://127.0.0.1:1"}, false},
		"a registry":         {addon.Chart{Repository: "oci://127.0.0.1:1/charts"}, true},
		"in the folder":      {addon.Chart{Folder: folder, Name: "keda"}, true},
		"not in the folder":  {addon.Chart{Folder: folder, Name: "prometheus"}, false},
		"there is no folder": {addon.Chart{Folder: folder + "/none", Name: "keda"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := findChart(test.chart); (err == nil) != test.found {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPreviewNeedsNoSecretsNoDaemonAndNoCharts(t *testing.T) {
	stack := testStack{file: "prod", settings: map[string]string{
		"images": `{"registry": "registry.example.com", "platform": "linux/amd64", "dockerHost": "tcp://builder:2375"}`,
	}}
	settings := stack.config(t)
	w := testHost(t)
	w.daemon = func(string) error { return fmt.Errorf("nobody answers") }
	w.chart = func(c addon.Chart) error {
		if c.Name == "keda" {
			return fmt.Errorf("no route to it")
		}
		return nil
	}
	preview := func(dryRun bool) (resources, error) {
		return manifest.Run(Program(w, settings), manifest.Stack{Project: config.Project, Name: "prod", Preview: dryRun})
	}
	declared, err := preview(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range declared {
		// The recorder omits values that are not known yet.
		if r.Type == "pulumi:providers:docker" && r.Inputs["host"].IsString() {
			t.Errorf("%s %q would dial the daemon", r.Type, r.Name)
		}
		if r.Type == releaseToken && r.Inputs["version"].IsString() != (r.Name != "keda") {
			t.Errorf("release %q: version %v", r.Name, r.Inputs["version"])
		}
	}
	_, err = preview(false)
	if err == nil || !strings.Contains(err.Error(), "apiToken") {
		t.Errorf("up without the API's token: %v", err)
	}
}

func TestUpNamesEverythingUnreachable(t *testing.T) {
	stack := testStacks()[0]
	settings := stack.config(t)
	w := testHost(t)
	w.daemon = func(string) error { return fmt.Errorf("nobody answers") }
	w.chart = func(addon.Chart) error { return fmt.Errorf("no route to it") }
	_, err := manifest.Run(Program(w, settings), manifest.Stack{Project: config.Project, Name: "dev"})
	if err == nil {
		t.Fatal("it was brought up all the same")
	}
	for _, want := range []string{"nobody answers: start Docker", "chart keda: no route to it: set addons", "chart prometheus: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("does not say %q: %v", want, err)
		}
	}
}
