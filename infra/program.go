package main

import (
	"cmp"
	"fmt"
	"runtime"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/image"
	"shopstream/infra/internal/namespace"
	"shopstream/infra/internal/netpol"
)

// program declares the platform, from the ground up: configuration, images, namespaces, addons, data, services, and
// the way in.
func program(w world) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		c, secrets, err := load(stackSettings(ctx), w.setKeys(ctx.Project()))
		if err != nil {
			return fmt.Errorf("reading the configuration of stack %q:\n%w", ctx.Stack(), err)
		}
		if err := validate(c, secrets, ctx.DryRun()); err != nil {
			return fmt.Errorf("checking the configuration of stack %q:\n%w", ctx.Stack(), err)
		}
		missing, err := w.look(ctx, c)
		if err != nil {
			return fmt.Errorf("looking for what stack %q is made of:\n%w", ctx.Stack(), err)
		}
		return platform{world: w, config: c, secrets: secrets, away: missing}.declare(ctx)
	}
}

// platform is the state of one run.
type platform struct {
	world   world
	config  Config
	secrets Secrets
	away    away
}

func (p platform) declare(ctx *pulumi.Context) error {
	images, err := image.New(ctx, "images", p.imageArgs(ctx))
	if err != nil {
		return err
	}

	provider, err := kubernetes.NewProvider(ctx, "cluster", p.providerArgs())
	if err != nil {
		return fmt.Errorf("configuring the cluster: %w", err)
	}
	cluster := pulumi.Provider(provider)

	namespaces := map[string]*namespace.Namespace{}
	for _, name := range p.config.closedNamespaces() {
		opts := []pulumi.ResourceOption{cluster}
		if name == dataNamespace {
			// With its namespace a volume's claim would go, and what is in a volume is worth nothing without its passwords.
			opts = append(opts, pulumi.Protect(p.config.KeepVolumes))
		}
		if namespaces[name], err = namespace.New(ctx, name, opts...); err != nil {
			return err
		}
	}

	policies, err := netpol.NewPolicies(ctx, "calls", &netpol.PoliciesArgs{
		Graph: p.config.graph(), Namespaces: references(namespaces),
	}, cluster)
	if err != nil {
		return err
	}
	// Everything with pods comes after the policies, so that no first connection meets a closed door.
	afterPolicies := pulumi.DependsOn([]pulumi.Resource{policies})

	charts := p.away.without(p.config.charts())
	installed, err := newAddons(ctx, charts, namespaces, p.world.unlocker(p.config.Cluster.Context), cluster, afterPolicies)
	if err != nil {
		return err
	}

	data, err := p.declareData(ctx, namespaces, images, cluster, afterPolicies)
	if err != nil {
		return err
	}
	if err := p.declareServices(ctx, namespaces[appNamespace], images, installed, data, cluster); err != nil {
		return err
	}
	if err := p.declareIngress(ctx, namespaces[appNamespace], installed, cluster); err != nil {
		return err
	}
	return p.export(ctx, data)
}

func (p platform) imageArgs(ctx *pulumi.Context) *image.Args {
	settings := p.config.Images
	return &image.Args{
		Services:   p.world.services(ctx.RootDirectory()),
		Names:      p.config.images(),
		Build:      settings.Build,
		Away:       p.away.daemon,
		Staging:    p.world.staging,
		Registry:   settings.Registry,
		Username:   settings.RegistryUsername,
		Password:   pulumi.ToSecret(pulumi.String(p.secrets.RegistryPassword)).(pulumi.StringOutput),
		Platform:   cmp.Or(settings.Platform, "linux/"+runtime.GOARCH),
		GoImage:    settings.GoImage,
		BaseImage:  settings.BaseImage,
		DockerHost: p.world.dockerHost(settings.DockerHost),
		Load:       p.world.loader(image.LoadCommand(settings.Load, p.config.Cluster.Context)),
	}
}

func (p platform) providerArgs() *kubernetes.ProviderArgs {
	args := &kubernetes.ProviderArgs{
		EnableServerSideApply: pulumi.Bool(true),
		// What somebody changed by hand belongs to them in the eyes of the API server. The stack takes it back.
		EnablePatchForce: pulumi.Bool(true),
		// After a run that was cut off, objects may exist that pulumi has not written down yet.
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
