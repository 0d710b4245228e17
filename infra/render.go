package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"sigs.k8s.io/yaml"

	"shopstream/infra/internal/addon"
	"shopstream/infra/internal/image"
	"shopstream/infra/internal/record"
)

// project is the name in Pulumi.yaml.
const project = "shopstream"

// errNotAsked keeps render from building.
var errNotAsked = errors.New("manifests need no images")

// manifest is one file that render writes.
type manifest struct {
	path   string
	object map[string]any
}

// runRender writes what a stack declares as plain Kubernetes manifests. It needs neither pulumi nor a cluster nor
// Docker; Secrets are written without their values, and Helm releases as the chart, version and values to install.
func runRender(arguments []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("render", flag.ContinueOnError)
	flags.SetOutput(stdout)
	stack := flags.String("stack", "dev", "the `name` of the stack whose Pulumi.<name>.yaml is read")
	root := flags.String("root", "..", "the `folder` with Pulumi.yaml")
	out := flags.String("out", "", "the `folder` to write to; it must be empty or not exist")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *out == "" {
		return errors.New("name the folder to write to: -out FOLDER")
	}
	manifests, err := render(*root, *stack)
	if err != nil {
		return err
	}
	if err := write(*out, manifests); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "wrote %d manifests of stack %q to %s\n", len(manifests), *stack, *out)
	return nil
}

func render(root, stack string) ([]manifest, error) {
	settings, err := readStack(filepath.Join(root, "Pulumi."+stack+".yaml"))
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(settings)
	if err != nil {
		return nil, fmt.Errorf("encoding the configuration: %w", err)
	}
	w := machine(string(encoded))
	// The images are named and not built: manifests are for the cluster alone.
	w.dockerHost = func(host string) string { return host }
	w.daemon = func(string) error { return errNotAsked }
	w.chart = func(addon.Chart) error { return nil }
	w.loader = func([]string) image.Load { return nil }
	w.unlocker = func(string) addon.Unlock { return nil }
	resources, err := record.Run(program(w), record.Stack{
		Project: project, Name: stack, Config: settings, Preview: true, Root: root,
	})
	if err != nil {
		return nil, err
	}
	return manifests(resources), nil
}

// isEncrypted tells `apiToken: {secure: AAAB…}` from `kafka: {secure: true}`, as pulumi does.
func isEncrypted(value any) bool {
	object, _ := value.(map[string]any)
	_, isText := object["secure"].(string)
	return isText && len(object) == 1
}

// readStack returns the plain configuration of a stack. Secrets are left out: they are encrypted, and a manifest would
// not hold them anyway.
func readStack(name string) (map[string]string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading the stack: %w", err)
	}
	var file struct {
		Config map[string]any `json:"config"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("reading %q: %w", name, err)
	}
	settings := map[string]string{}
	for key, value := range file.Config {
		if !strings.HasPrefix(key, project+":") {
			continue
		}
		text, isText := value.(string)
		if !isText {
			if isEncrypted(value) {
				continue
			}
			encoded, err := json.Marshal(value)
			if err != nil {
				return nil, fmt.Errorf("reading %q: %w", key, err)
			}
			text = string(encoded)
		}
		settings[key] = text
	}
	return settings, nil
}

// manifests returns the Kubernetes objects among the resources, and the Helm releases.
func manifests(resources []record.Resource) []manifest {
	var list []manifest
	for _, r := range resources {
		if !r.Custom || !strings.HasPrefix(r.Type, "kubernetes:") {
			continue
		}
		object := r.Inputs.MapRepl(nil, plain)
		if r.Type == "kubernetes:helm.sh/v3:Release" {
			delete(object, "compat")
			list = append(list, manifest{path: filepath.Join("2-releases", r.Name+".yaml"), object: object})
			continue
		}
		list = append(list, manifest{path: objectPath(object), object: withoutValues(object)})
	}
	slices.SortFunc(list, func(a, b manifest) int { return strings.Compare(a.path, b.path) })
	return list
}

// plain takes the wrapping off secret values; withoutValues then takes the values out.
func plain(v resource.PropertyValue) (any, bool) {
	if v.IsSecret() {
		return v.SecretValue().Element.MapRepl(nil, plain), true
	}
	if v.IsNumber() && v.NumberValue() == float64(int64(v.NumberValue())) {
		return int64(v.NumberValue()), true
	}
	return nil, false
}

// objectPath puts namespaces first and releases, which bring kinds of objects along, before what uses them.
func objectPath(object map[string]any) string {
	kind, _ := object["kind"].(string)
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	namespace, _ := metadata["namespace"].(string)
	file := strings.ToLower(kind) + "-" + name + ".yaml"
	if kind == "Namespace" {
		return filepath.Join("1-namespaces", file)
	}
	return filepath.Join("3-"+namespace, file)
}

// withoutValues replaces the values of a Secret, which belong into no file.
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

func write(out string, manifests []manifest) error {
	if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: name a new folder, so that no manifest of an earlier run is left in it", out)
	}
	for _, m := range manifests {
		encoded, err := yaml.Marshal(m.object)
		if err != nil {
			return fmt.Errorf("encoding %q: %w", m.path, err)
		}
		target := filepath.Join(out, m.path)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return fmt.Errorf("writing manifests: %w", err)
		}
		if err := os.WriteFile(target, encoded, 0o644); err != nil {
			return fmt.Errorf("writing manifests: %w", err)
		}
	}
	return nil
}

// text joins manifests into one document, for comparing.
func text(manifests []manifest) ([]byte, error) {
	var all bytes.Buffer
	for _, m := range manifests {
		encoded, err := yaml.Marshal(m.object)
		if err != nil {
			return nil, fmt.Errorf("encoding %q: %w", m.path, err)
		}
		fmt.Fprintf(&all, "---\n# %s\n%s", m.path, encoded)
	}
	return all.Bytes(), nil
}
