// Package manifest runs the program without pulumi, a provider or a cluster, and writes the declared resources as manifests.
package manifest

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"sigs.k8s.io/yaml"
)

// Manifest is one file.
type Manifest struct {
	Path   string
	Object map[string]any
}

// Render writes what a program declares for a stack as plain Kubernetes manifests to a folder, which must be empty or not
// exist. Secrets are written without their values, and Helm releases as the chart, version and values to install. It
// returns the number of files.
func Render(program pulumi.RunFunc, stack Stack, out string) (int, error) {
	resources, err := Run(program, stack)
	if err != nil {
		return 0, err
	}
	manifests := Of(resources)
	return len(manifests), write(out, manifests)
}

// Of returns the Kubernetes objects among the resources, and the Helm releases.
func Of(resources []Resource) []Manifest {
	var list []Manifest
	for _, r := range resources {
		// A patch is not an object of its own, and an object that was just created needs none.
		if !r.Custom || !strings.HasPrefix(r.Type, "kubernetes:") || strings.HasSuffix(r.Type, "Patch") {
			continue
		}
		object := r.Inputs.MapRepl(nil, plain)
		if r.Type == "kubernetes:helm.sh/v3:Release" {
			delete(object, "compat")
			list = append(list, Manifest{Path: filepath.Join("2-releases", r.Name+".yaml"), Object: object})
			continue
		}
		list = append(list, Manifest{Path: objectPath(object), Object: withoutValues(object)})
	}
	slices.SortFunc(list, func(a, b Manifest) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// plain unwraps secret values; withoutValues then removes the values.
func plain(v resource.PropertyValue) (any, bool) {
	if v.IsSecret() {
		return v.SecretValue().Element.MapRepl(nil, plain), true
	}
	if v.IsNumber() && v.NumberValue() == float64(int64(v.NumberValue())) {
		return int64(v.NumberValue()), true
	}
	return nil, false
}

// objectPath sorts namespaces first, and releases, which install custom resource definitions, before their users.
func objectPath(object map[string]any) string {
	kind, _ := object["kind"].(string)
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	namespace, _ := metadata["namespace"].(string)
	file := strings.ToLower(kind) + "-" + name + ".yaml"
	if kind == "Namespace" {
		return filepath.Join("1-namespaces", file)
	}
	return filepath.Join("3-"+cmp.Or(namespace, "cluster-wide"), file)
}

// withoutValues replaces the values of a Secret, which must not be in a file.
func withoutValues(object map[string]any) map[string]any {
	data, isMap := object["data"].(map[string]any)
	if object["kind"] != "Secret" || !isMap {
		return object
	}
	blank := map[string]any{}
	for key := range data {
		blank[key] = "REPLACE_ME"
	}
	cleaned := maps.Clone(object)
	delete(cleaned, "data")
	cleaned["stringData"] = blank
	return cleaned
}

func write(out string, manifests []Manifest) error {
	if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty, and would keep manifests of an earlier run: name a new folder", out)
	}
	for _, m := range manifests {
		encoded, err := yaml.Marshal(m.Object)
		if err != nil {
			return fmt.Errorf("encoding %q: %w", m.Path, err)
		}
		target := filepath.Join(out, m.Path)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return fmt.Errorf("writing manifests: %w", err)
		}
		if err := os.WriteFile(target, encoded, 0o644); err != nil {
			return fmt.Errorf("writing manifests: %w", err)
		}
	}
	return nil
}

// Text joins manifests into one document, for comparing.
func Text(manifests []Manifest) ([]byte, error) {
	var all bytes.Buffer
	for _, m := range manifests {
		encoded, err := yaml.Marshal(m.Object)
		if err != nil {
			return nil, fmt.Errorf("encoding %q: %w", m.Path, err)
		}
		fmt.Fprintf(&all, "---\n# %s\n%s", m.Path, encoded)
	}
	return all.Bytes(), nil
}
