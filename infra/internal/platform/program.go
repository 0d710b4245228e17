// Package platform declares the resources of a configuration with Pulumi.
package platform

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/image"
	"shopstream/infra/internal/namespace"
	"shopstream/infra/internal/netpol"
	"shopstream/infra/internal/plan"
)

// Program declares the platform in this order: configuration, images, namespaces, network policies, addons, data,
// services, ingress. The settings are the stack's, by key.
func Program(h Host, settings map[string]string) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		c, secrets, unreadable := config.Load(settings)
		if err := errors.Join(unreadable, plan.Check(c, secrets, ctx.DryRun())); err != nil {
			return fmt.Errorf("checking the configuration of stack %q; nothing was changed:\n%w", ctx.Stack(), err)
		}
		missing, err := h.checkReachable(ctx, c)
		if err != nil {
			return fmt.Errorf("checking what stack %q needs; nothing was changed:\n%w", ctx.Stack(), err)
		}
		if err := h.checkOwned(ctx, c); err != nil {
			return fmt.Errorf("checking the cluster's namespaces; nothing was changed:\n%w", err)
		}
		return platform{host: h, config: c, secrets: secrets, unreachable: missing}.declare(ctx)
	}
}

// platform is the state of one run.
type platform struct {
	host        Host
	config      config.Config
	secrets     config.Secrets
	unreachable unreachable
}

func (p platform) declare(ctx *pulumi.Context) error {
	settings, err := p.rememberSettings(ctx)
	if err != nil {
		return err
	}
	images, err := image.New(ctx, "images", p.imageArgs(ctx, settings))
	if err != nil {
		return err
	}

	provider, err := kubernetes.NewProvider(ctx, "cluster", p.providerArgs(), pulumi.DependsOn([]pulumi.Resource{settings}))
	if err != nil {
		return fmt.Errorf("configuring the cluster: %w", err)
	}
	cluster := pulumi.Provider(provider)

	namespaces := map[string]*namespace.Namespace{}
	for _, name := range plan.ClosedNamespaces(p.config) {
		opts := []pulumi.ResourceOption{cluster}
		if name == plan.DataNamespace {
			// Deleting the namespace deletes its volume claims, and the data is useless without the passwords kept here.
			opts = append(opts, pulumi.Protect(p.config.KeepVolumes))
		}
		if namespaces[name], err = namespace.New(ctx, name, opts...); err != nil {
			return err
		}
	}

	policies, err := netpol.NewPolicies(ctx, "calls", &netpol.PoliciesArgs{
		Graph: plan.Graph(p.config), Namespaces: references(namespaces),
	}, cluster)
	if err != nil {
		return err
	}
	// Everything with pods comes after the policies, so that no first connection is refused.
	afterPolicies := pulumi.DependsOn([]pulumi.Resource{policies})

	charts := p.unreachable.mark(plan.Charts(p.config))
	installed, err := newAddons(ctx, charts, namespaces, p.host.unlocker(p.config.Cluster.Context), cluster, afterPolicies)
	if err != nil {
		return err
	}

	data, err := p.declareData(ctx, namespaces, images, cluster, afterPolicies)
	if err != nil {
		return err
	}
	workloads, err := p.declareServices(ctx, namespaces[plan.AppNamespace], images, installed, data, cluster)
	if err != nil {
		return err
	}
	if err := p.noteStarted(ctx, data.credentials, namespaces[plan.DataNamespace].Ref, workloads, cluster); err != nil {
		return err
	}
	if err := p.declareIngress(ctx, namespaces[plan.AppNamespace], installed, cluster); err != nil {
		return err
	}
	return p.export(ctx, data)
}

func (p platform) imageArgs(ctx *pulumi.Context, after pulumi.Resource) *image.Args {
	settings := p.config.Images
	return &image.Args{
		Services:   p.host.services(ctx.RootDirectory()),
		Names:      plan.Images(p.config),
		Build:      settings.Build,
		NoDaemon:   p.unreachable.daemon,
		After:      []pulumi.Resource{after},
		Staging:    p.host.staging,
		Registry:   settings.Registry,
		Username:   settings.RegistryUsername,
		Password:   pulumi.ToSecret(pulumi.String(p.secrets.RegistryPassword)).(pulumi.StringOutput),
		Platform:   cmp.Or(settings.Platform, "linux/"+runtime.GOARCH),
		GoImage:    settings.GoImage,
		BaseImage:  settings.BaseImage,
		DockerHost: p.host.dockerHost(settings.DockerHost),
		Load:       p.host.loader(image.LoadCommand(settings.Load, p.config.Cluster.Context)),
	}
}

func (p platform) providerArgs() *kubernetes.ProviderArgs {
	args := &kubernetes.ProviderArgs{
		EnableServerSideApply: pulumi.Bool(true),
		// A field that was changed by hand is owned by another field manager. The stack takes it over again.
		EnablePatchForce: pulumi.Bool(true),
		// After an interrupted run, objects may exist that are not in the state.
		UpsertExistingObjects: pulumi.Bool(true),
	}
	if p.config.Cluster.Context != "" {
		args.Context = pulumi.String(p.config.Cluster.Context)
	}
	return args
}

func references(namespaces map[string]*namespace.Namespace) map[string]pulumi.StringInput {
	refs := map[string]pulumi.StringInput{}
	for name, ns := range namespaces {
		refs[name] = ns.Ref
	}
	return refs
}
