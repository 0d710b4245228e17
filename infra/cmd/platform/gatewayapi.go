package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/label"
)

// gatewayModule contains the CustomResourceDefinitions of the Gateway API, in the version of infra/go.mod.
const gatewayModule = "sigs.k8s.io/gateway-api"

// gatewayKind is a CustomResourceDefinition of the Gateway API in the cluster.
type gatewayKind struct{ name, version, stack string }

func (p *platform) gatewayKinds(ctx context.Context) ([]gatewayKind, error) {
	rows, err := p.kube.rows(ctx, []string{
		".metadata.name", `.metadata.annotations.gateway\.networking\.k8s\.io/bundle-version`, `.metadata.annotations.shopstream/stack`, ".spec.group",
	}, "customresourcedefinitions")
	var kinds []gatewayKind
	for _, row := range rows {
		if row[3] == "gateway.networking.k8s.io" {
			kinds = append(kinds, gatewayKind{name: row[0], version: row[1], stack: row[2]})
		}
	}
	return kinds, err
}

// gatewayAPI is what up has to install of the Gateway API.
type gatewayAPI struct {
	version, manifests string
	names              []string
}

// missingGatewayAPI returns what the cluster lacks of the Gateway API, or nil. Kinds that this stack has installed are updated.
// They belong to the whole cluster, so what somebody else has installed is left as it is.
func (p *platform) missingGatewayAPI(ctx context.Context) (*gatewayAPI, error) {
	if p.config.Ingress.API != config.GatewayAPI {
		return nil, nil
	}
	kinds, err := p.gatewayKinds(ctx)
	if err != nil {
		return nil, err
	}
	dir, version, err := p.gatewayRelease(ctx)
	if err != nil {
		return nil, err
	}
	for _, kind := range kinds {
		if kind.stack != p.owner() {
			if kind.version != version {
				p.warn("the cluster has the Gateway API %s, which somebody else has installed; the platform is tested with %s.", kind.version, version)
			}
			return nil, nil
		}
	}
	manifests, names, err := gatewayManifests(dir, p.owner())
	if err != nil || isComplete(kinds, names, version) {
		return nil, err
	}
	return &gatewayAPI{version: version, manifests: manifests, names: names}, nil
}

func (p *platform) installGatewayAPI(ctx context.Context, missing gatewayAPI) error {
	p.step("Installing the Gateway API %s on %s", missing.version, p.kube.context)
	if _, err := p.kube.feed(ctx, missing.manifests, "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
		return err
	}
	_, err := p.kube.run(ctx, slices.Concat([]string{"wait", "--for=condition=Established", "--timeout=60s", "customresourcedefinitions"}, missing.names)...)
	return err
}

// isComplete reports whether the cluster has every kind in that version. After an interrupted up it may have only some.
func isComplete(kinds []gatewayKind, names []string, version string) bool {
	installed := map[string]string{}
	for _, kind := range kinds {
		installed[kind.name] = kind.version
	}
	return !slices.ContainsFunc(names, func(name string) bool { return installed[name] != version })
}

// owner is the annotation of objects that the stack creates for the whole cluster.
func (p *platform) owner() string { return config.Project + "/" + p.stack }

// gatewayRelease returns the folder of the kinds and their version. Go's module proxy serves them, and Go checks them
// against infra/go.sum.
func (p *platform) gatewayRelease(ctx context.Context) (dir, version string, err error) {
	text, err := output(ctx, "go", "-C", filepath.Join(p.root, "infra"), "mod", "download", "-json", gatewayModule)
	if err != nil {
		return "", "", fmt.Errorf("getting the kinds of the Gateway API: %w", err)
	}
	var module struct{ Dir, Version string }
	if err := json.Unmarshal([]byte(text), &module); err != nil {
		return "", "", fmt.Errorf("reading the output of go mod download: %w", err)
	}
	return filepath.Join(module.Dir, "config", "crd", "standard"), module.Version, nil
}

// gatewayManifests reads the CustomResourceDefinitions of a folder, and marks them as the owner's. It returns their names
// too.
func gatewayManifests(dir, owner string) (list string, names []string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return "", nil, fmt.Errorf("looking for the kinds of the Gateway API: %w", err)
	}
	var items []any
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", nil, fmt.Errorf("reading the Gateway API: %w", err)
		}
		var object map[string]any
		if err := yaml.Unmarshal(content, &object); err != nil {
			return "", nil, fmt.Errorf("reading %q: %w", file, err)
		}
		if object["kind"] != "CustomResourceDefinition" {
			continue
		}
		metadata, _ := object["metadata"].(map[string]any)
		name, _ := metadata["name"].(string)
		annotations, _ := metadata["annotations"].(map[string]any)
		if name == "" || annotations == nil {
			return "", nil, fmt.Errorf("%q has no name or no annotations, and so no version", file)
		}
		annotations[label.Stack] = owner
		names, items = append(names, name), append(items, object)
	}
	if len(items) == 0 {
		return "", nil, fmt.Errorf("there are no kinds of the Gateway API in %q", dir)
	}
	encoded, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	return string(encoded), names, err
}

// removeGatewayAPI removes the kinds that this stack has installed, unless there are objects of them, which would be deleted
// with them.
func (p *platform) removeGatewayAPI(ctx context.Context) error {
	kinds, err := p.gatewayKinds(ctx)
	if err != nil {
		return err
	}
	var own []string
	for _, kind := range kinds {
		if kind.stack == p.owner() {
			own = append(own, kind.name)
		}
	}
	if len(own) == 0 {
		return nil
	}
	objects, err := p.kube.run(ctx, "get", strings.Join(own, ","), "-A", "-o", "name")
	if err != nil {
		return err
	}
	if used := strings.Fields(objects); len(used) > 0 {
		p.say("The Gateway API is left installed, since these objects of it are not this stack's: %s", strings.Join(used, " "))
		return nil
	}
	p.say("Removing the Gateway API, which this stack has installed and nobody uses.")
	_, err = p.kube.run(ctx, append([]string{"delete", "customresourcedefinitions", "--wait=false"}, own...)...)
	return err
}
