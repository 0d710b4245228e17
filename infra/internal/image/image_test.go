package image

import (
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

func tree() fstest.MapFS {
	return fstest.MapFS{
		"Dockerfile":               {Data: []byte("FROM scratch")},
		".dockerignore":            {Data: []byte("**/*.md")},
		"internal/go.mod":          {Data: []byte("module " + module)},
		"internal/go.sum":          {Data: []byte("sums")},
		"internal/event/e.go":      {Data: []byte("package event")},
		"internal/event/README.md": {Data: []byte("notes")},
		"internal/httpx/h.go":      {Data: []byte("package httpx; import (\"net/http\"; e \"" + module + "/event\")")},
		"internal/kafkax/k.go":     {Data: []byte("package kafkax")},
		"internal/testkit/b/b.go":  {Data: []byte("package b")},
		"api/main.go":              {Data: []byte("package main; import \"" + module + "/httpx\"")},
		"api/main_test.go":         {Data: []byte("package main; import \"" + module + "/testkit/b\"")},
		"api/testdata/golden":      {Data: []byte("golden")},
		"api/viewer/index.html":    {Data: []byte("<html>")},
		"api/.hidden":              {Data: []byte("x")},
		"consumer/main.go":         {Data: []byte("package main; import (\"" + module + "/event\"; \"" + module + "/kafkax\")")},
	}
}

func references(t *testing.T, services fs.FS, change func(*Args)) map[string]string {
	t.Helper()
	args := Args{Services: services, Names: []string{"api", "consumer"}, GoImage: "golang:1", BaseImage: "base:1"}
	if change != nil {
		change(&args)
	}
	refs, err := args.References()
	if err != nil {
		t.Fatal(err)
	}
	return refs
}

func TestSourcesAreWhatGoesIn(t *testing.T) {
	got, err := sources(tree(), "api")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Dockerfile", "api/main.go", "api/viewer/index.html",
		"internal/event/e.go", "internal/go.mod", "internal/go.sum", "internal/httpx/h.go",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := sources(tree(), "missing"); err == nil {
		t.Error("a service without sources is no error")
	}
}

// TestTagsChangeWithWhatGoesIn: an unchanged service keeps its image, and its pods.
func TestTagsChangeWithWhatGoesIn(t *testing.T) {
	before := references(t, tree(), nil)
	for name, test := range map[string]struct {
		edit     func(fstest.MapFS)
		change   func(*Args)
		api, con bool // whether the image is another one
	}{
		"nothing":               {edit: func(fstest.MapFS) {}},
		"a test":                {edit: func(f fstest.MapFS) { f["api/new_test.go"] = &fstest.MapFile{} }},
		"test data":             {edit: func(f fstest.MapFS) { f["api/testdata/more"] = &fstest.MapFile{} }},
		"notes":                 {edit: func(f fstest.MapFS) { f["internal/event/README.md"].Data = []byte("more") }},
		"another folder":        {edit: func(f fstest.MapFS) { f["dev/local/main.go"] = &fstest.MapFile{} }},
		"one service":           {edit: func(f fstest.MapFS) { f["api/main.go"].Data = []byte("package main // new") }, api: true},
		"a page":                {edit: func(f fstest.MapFS) { f["api/viewer/index.html"].Data = []byte("<body>") }, api: true},
		"a new file":            {edit: func(f fstest.MapFS) { f["consumer/more.go"] = &fstest.MapFile{Data: []byte("package main")} }, con: true},
		"a removed file":        {edit: func(f fstest.MapFS) { delete(f, "api/viewer/index.html") }, api: true},
		"a test helper":         {edit: func(f fstest.MapFS) { f["internal/testkit/b/b.go"].Data = []byte("package b // new") }},
		"what api imports":      {edit: func(f fstest.MapFS) { f["internal/httpx/h.go"].Data = []byte("package httpx // new") }, api: true},
		"what consumer imports": {edit: func(f fstest.MapFS) { f["internal/kafkax/k.go"].Data = []byte("package kafkax // new") }, con: true},
		"the versions":          {edit: func(f fstest.MapFS) { f["internal/go.sum"].Data = []byte("others") }, api: true, con: true},
		"what is shared":        {edit: func(f fstest.MapFS) { f["internal/event/e.go"].Data = []byte("package event // new") }, api: true, con: true},
		"the Dockerfile":        {edit: func(f fstest.MapFS) { f["Dockerfile"].Data = []byte("FROM x") }, api: true, con: true},
		"the base":              {edit: func(fstest.MapFS) {}, change: func(a *Args) { a.BaseImage = "base:2" }, api: true, con: true},
	} {
		t.Run(name, func(t *testing.T) {
			services := maps.Clone(tree())
			test.edit(services)
			after := references(t, services, test.change)
			if got := after["api"] != before["api"]; got != test.api {
				t.Errorf("api is another image: %v", got)
			}
			if got := after["consumer"] != before["consumer"]; got != test.con {
				t.Errorf("consumer is another image: %v", got)
			}
		})
	}
}

// TestSourcesAreWhatGoBuilds compares what is read from the import lines with the Go tool's own answer.
func TestSourcesAreWhatGoBuilds(t *testing.T) {
	services := os.DirFS("../../../services")
	for _, service := range []string{"web-server", "management-api", "api", "producer", "consumer", "topics", "broker-guard", "backup"} {
		files, err := sources(services, service)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, file := range files {
			if folder := path.Dir(file); strings.HasPrefix(folder, "internal/") {
				got[folder] = true
			}
		}
		list := exec.CommandContext(t.Context(), "go", "list", "-deps", ".")
		list.Dir = filepath.Join("../../../services", service)
		list.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=1")
		output, err := list.Output()
		if err != nil {
			t.Fatalf("go list in %s: %v", service, err)
		}
		want := map[string]bool{}
		for _, name := range strings.Fields(string(output)) {
			if folder, ok := strings.CutPrefix(name, module+"/"); ok {
				want["internal/"+folder] = true
			}
		}
		if !maps.Equal(got, want) || len(want) == 0 {
			t.Errorf("%s is made of %q, and go builds it of %q", service, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
		if slices.ContainsFunc(files, func(f string) bool { return strings.Contains(f, "testkit") }) {
			t.Errorf("%s ships what only tests use: %q", service, files)
		}
	}
}

func TestReference(t *testing.T) {
	for registry, want := range map[string]string{
		"":                     "shopstream/api:1",
		"127.0.0.1:5000":       "127.0.0.1:5000/shopstream/api:1",
		"example.com/team/sub": "example.com/team/sub/shopstream/api:1",
	} {
		if got := reference(registry, "api", "1"); got != want {
			t.Errorf("registry %q: %q, want %q", registry, got, want)
		}
	}
}

func TestStageMakesTheFolderEqual(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "api")
	files, err := sources(tree(), "api")
	if err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(folder, "api", "old.go")
	if err := os.MkdirAll(filepath.Dir(stale), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stale, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := stage(tree(), files, folder); err != nil {
			t.Fatal(err)
		}
	}
	got, err := sources(os.DirFS(folder), "api")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, files) {
		t.Errorf("staged %q, want %q", got, files)
	}
	page, err := os.ReadFile(filepath.Join(folder, "api/viewer/index.html"))
	if err != nil || string(page) != "<html>" {
		t.Errorf("staged page %q: %v", page, err)
	}
}

func TestDaemon(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "docker.sock")
	if err := Daemon(t.Context(), "unix://"+socket); err == nil || !strings.Contains(err.Error(), socket) {
		t.Errorf("nobody listens on %s: %v", socket, err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := Daemon(t.Context(), "unix://"+socket); err != nil {
		t.Error(err)
	}
}

func TestLoadsTheImagesOfAWorkloadThatAreBuiltHere(t *testing.T) {
	workload := func(pod map[string]any) resource.PropertyMap {
		return resource.NewPropertyMapFromMap(map[string]any{"spec": map[string]any{"template": map[string]any{"spec": pod}}})
	}
	containers := func(images ...string) []any {
		var list []any
		for _, image := range images {
			list = append(list, map[string]any{"name": "one", "image": image})
		}
		return list
	}
	for name, test := range map[string]struct {
		workload resource.PropertyMap
		want     []string
	}{
		"a service":        {workload(map[string]any{"containers": containers("shopstream/api:1")}), []string{"shopstream/api:1"}},
		"beside another's": {workload(map[string]any{"initContainers": containers("shopstream/guard:1"), "containers": containers("kafka:1")}), []string{"shopstream/guard:1"}},
		"a cron job": {
			resource.NewPropertyMapFromMap(map[string]any{"spec": map[string]any{"jobTemplate": map[string]any{"spec": map[string]any{
				"template": map[string]any{"spec": map[string]any{"containers": containers("shopstream/api:1")}},
			}}}}),
			[]string{"shopstream/api:1"},
		},
		"nothing":         {resource.PropertyMap{}, nil},
		"another's alone": {workload(map[string]any{"containers": containers("kafka:1")}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var loaded []string
			err := loadAll(imagesOf(test.workload), []string{"shopstream/api:1", "shopstream/guard:1"}, func(reference string) error {
				loaded = append(loaded, reference)
				return nil
			})
			if !slices.Equal(loaded, test.want) || (err == nil) != (len(test.want) > 0) {
				t.Errorf("loaded %q, want %q (%v)", loaded, test.want, err)
			}
		})
	}
}
