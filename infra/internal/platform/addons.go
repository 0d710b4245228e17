package platform

import (
	"fmt"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/addon"
	"shopstream/infra/internal/namespace"
)

// addons are the releases that the stack installs, by chart.
type addons map[string]pulumi.Resource

// after returns an option that creates a resource after these charts, if they are installed, and deletes it before them.
func (a addons) after(names ...string) pulumi.ResourceOption {
	var installed []pulumi.Resource
	for _, name := range names {
		if release, ok := a[name]; ok {
			installed = append(installed, release)
		}
	}
	return pulumi.DependsOn(installed)
}

func newAddons(
	ctx *pulumi.Context, charts []addon.Chart, namespaces map[string]*namespace.Namespace, unlock addon.Unlock,
	opts ...pulumi.ResourceOption,
) (addons, error) {
	hooks, err := addon.UnlockFirst(ctx, unlock)
	if err != nil {
		return nil, err
	}
	installed := addons{}
	for _, chart := range charts {
		rights, err := addon.NewRights(ctx, chart, references(namespaces), opts...)
		if err != nil {
			return nil, fmt.Errorf("granting rights to addons: %w", err)
		}
		files, err := addon.NewFiles(ctx, chart, namespaces[chart.Namespace].Ref, opts...)
		if err != nil {
			return nil, fmt.Errorf("making the files of addons: %w", err)
		}
		release, err := addon.NewRelease(ctx, namespaces[chart.Namespace].Ref, chart,
			append(slices.Concat(opts, hooks), pulumi.DependsOn(append(rights, files...)))...)
		if err != nil {
			return nil, fmt.Errorf("installing addons: %w", err)
		}
		installed[chart.Name] = release
	}
	return installed, nil
}
