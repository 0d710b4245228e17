package platform

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"shopstream/infra/internal/addon"
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
