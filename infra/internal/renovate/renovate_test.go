// Package renovate compares renovate.json with the files whose versions it has to find.
package renovate

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../../.."

type manager struct {
	Description         string
	ManagerFilePatterns []string
	MatchStrings        []string
	DatasourceTemplate  string
}

// dependency is what a manager finds; renovate needs all of these fields.
type dependency struct{ datasource, name, version, file string }

func managers(t *testing.T) []manager {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "renovate.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ CustomManagers []manager }
	if err := json.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	return file.CustomManagers
}

// files returns the repository's files that a custom manager could read, by name.
func files(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains([]string{".git", "bin", "data", "build", ".pulumi-state", "internal/renovate"}, relative) || entry.Name() == ".build" {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.Contains([]string{".go", ".yml", ""}, filepath.Ext(name)) || strings.HasSuffix(name, "_test.go") || !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(name)
		all[filepath.ToSlash(relative)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// found returns what each manager finds.
func found(t *testing.T, m manager, files map[string]string) []dependency {
	t.Helper()
	var all []dependency
	for name, content := range files {
		if !slices.ContainsFunc(m.ManagerFilePatterns, func(p string) bool {
			return regexp.MustCompile(strings.Trim(p, "/")).MatchString(name)
		}) {
			continue
		}
		for _, expression := range m.MatchStrings {
			pattern := regexp.MustCompile(expression)
			for _, match := range pattern.FindAllStringSubmatch(content, -1) {
				d := dependency{datasource: m.DatasourceTemplate, file: name}
				for i, group := range pattern.SubexpNames() {
					switch group {
					case "datasource":
						d.datasource = match[i]
					case "depName":
						d.name = match[i]
					case "currentValue":
						d.version = match[i]
					}
				}
				all = append(all, d)
			}
		}
	}
	return all
}

func TestEveryPinnedVersionIsFound(t *testing.T) {
	tree := files(t)
	var all []dependency
	for _, m := range managers(t) {
		dependencies := found(t, m, tree)
		if len(dependencies) == 0 {
			t.Errorf("%s: nothing is found", m.Description)
		}
		all = append(all, dependencies...)
	}
	for _, d := range all {
		if d.datasource == "" || d.name == "" || d.version == "" {
			t.Errorf("%+v is not known well enough", d)
		}
	}
	for _, want := range []dependency{
		{datasource: "go", name: "github.com/golangci/golangci-lint/v2"},
		{datasource: "go", name: "github.com/rhysd/actionlint"},
		{datasource: "github-releases", name: "pulumi/pulumi"},
		{datasource: "helm", name: "ingress-nginx"},
		{datasource: "helm", name: "grafana"},
		{datasource: "helm", name: "jaeger"},
		{datasource: "helm", name: "keda"},
		{datasource: "helm", name: "metrics-server"},
		{datasource: "helm", name: "prometheus"},
		{datasource: "helm", name: "traefik"},
		{datasource: "docker", name: "apache/kafka"},
		{datasource: "docker", name: "mongo"},
		{datasource: "docker", name: "golang"},
	} {
		if !slices.ContainsFunc(all, func(d dependency) bool { return d.datasource == want.datasource && d.name == want.name }) {
			t.Errorf("%s %s is not found", want.datasource, want.name)
		}
	}
	// Every comment, every chart and every image must be found, however many there are.
	for marker, places := range map[string]string{
		` renovate: datasource=`:  ``,
		`Version: "`:              `infra/internal/addon/`,
		`Image:`:                  `profile.go`,
		`# renovate: datasource=`: `.github/workflows/`,
	} {
		for name, content := range tree {
			if !strings.Contains(name, places) {
				continue
			}
			marked := strings.Count(content, marker)
			var matched int
			for _, d := range all {
				if d.file == name {
					matched++
				}
			}
			if matched < marked {
				t.Errorf("%s has %d of %q, and %d versions are found in it", name, marked, marker, matched)
			}
		}
	}
}
