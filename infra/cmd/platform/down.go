package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"shopstream/infra/internal/plan"
)

func (p *platform) down(ctx context.Context) error {
	if err := need("pulumi", "kubectl"); err != nil {
		return err
	}
	if !p.kube.answers(ctx) {
		return fmt.Errorf("no cluster answers at the context %q, so nothing can be deleted. Start it (minikube start). If it is gone for good: %s",
			p.kube.context, p.byHand("stack rm --force"))
	}
	b, err := p.findBackend()
	if err != nil {
		return err
	}
	if err := p.checkConsent(); err != nil {
		return err
	}
	if p.asks() {
		if err := p.ask(ctx, fmt.Sprintf("Take down stack %s on %s?", p.stack, p.kube.context)); err != nil {
			return err
		}
	}
	stack, err := p.open(ctx, b)
	if err != nil {
		return err
	}
	if err := p.unlock(ctx, stack, b); err != nil {
		return err
	}
	before, err := exported(ctx, stack)
	if err != nil {
		return err
	}
	stacks, err := p.kube.namespaces(ctx)
	if err != nil {
		return err
	}
	namespaces := p.own(stacks)
	if err := p.checkVolumes(ctx, stack, before, namespaces); err != nil {
		return err
	}
	if slices.Contains(namespaces, plan.AppNamespace) {
		if err := p.releaseScalers(ctx); err != nil {
			return err
		}
	}
	p.step("Taking down stack %s on %s", p.stack, p.kube.context)
	destroy := []string{"destroy", "--yes", "--skip-preview"}
	if p.keepsVolumes() {
		destroy = append(destroy, "--exclude-protected")
	}
	if err := p.pulumi(ctx, stack, p.out, destroy...); err != nil {
		return p.unfinished(ctx, stack, "down", before, err)
	}
	if err := p.removeGatewayAPI(ctx); err != nil {
		return err
	}
	// The volumes of an earlier down, which may have been interrupted, are still to be deleted when the namespace is gone.
	places := slices.Clone(namespaces)
	if _, exists := stacks[plan.DataNamespace]; !exists {
		places = append(places, plan.DataNamespace)
	}
	return p.checkGone(ctx, places, slices.Concat(releases(before), p.declared(namespaces)))
}

// keepsVolumes reports whether this down keeps the data: KEEP_VOLUMES=false overrides the stack's file once.
func (p *platform) keepsVolumes() bool {
	return p.config.KeepVolumes && p.getenv("KEEP_VOLUMES") != "false"
}

// checkVolumes refuses to delete volumes that should be kept, and unprotects those that should not.
func (p *platform) checkVolumes(ctx context.Context, stack *auto.Stack, state apitype.DeploymentV3, namespaces []string) error {
	protected := slices.ContainsFunc(state.Resources, func(r apitype.ResourceV3) bool { return r.Protect })
	switch {
	case p.keepsVolumes() && !protected && slices.Contains(namespaces, plan.DataNamespace):
		return fmt.Errorf("keepVolumes was set after the last up, so the volumes are not protected yet. Run make up first; or delete them too: make down STACK=%s KEEP_VOLUMES=false", p.stack)
	case !p.keepsVolumes() && protected:
		if err := p.pulumi(ctx, stack, p.out, "state", "unprotect", "--all", "--yes"); err != nil {
			return fmt.Errorf("the volumes are still protected, and nothing was deleted: %w", err)
		}
	}
	return nil
}

// checkGone waits until the stack's namespaces and the volumes of those in places are gone, and reports what is left.
func (p *platform) checkGone(ctx context.Context, places []string, removed []release) error {
	var left, volumes, kept []string
	var err error
	gone := within(ctx, p.deletionTimeout, func(ctx context.Context) bool {
		if left, err = p.namespaces(ctx); err != nil {
			return false
		}
		if volumes, err = p.volumesOf(ctx, places); err != nil {
			return false
		}
		if p.keepsVolumes() {
			kept = volumes
			left = slices.DeleteFunc(left, func(name string) bool { return name == plan.DataNamespace })
			volumes = slices.DeleteFunc(slices.Clone(volumes), func(name string) bool { return strings.Contains(name, "("+plan.DataNamespace+"/") })
		}
		return len(left)+len(volumes) == 0
	})
	if err := p.removeLeftovers(ctx, removed); err != nil {
		return err
	}
	if !gone {
		for _, name := range left {
			why, _ := p.kube.run(ctx, "get", "namespace", name, "-o", `jsonpath={range .status.conditions[?(@.status=="True")]}{.message} {end}`)
			p.warn("namespace %s: %s", name, strings.TrimSpace(why))
		}
		return errors.Join(err, fmt.Errorf("after %s this is still there: %s", p.deletionTimeout, strings.Join(append(left, volumes...), " ")))
	}
	if p.keepsVolumes() {
		p.step("Stack %s is gone from %s except its data, since keepVolumes is set:", p.stack, p.kube.context)
		p.say("%s", strings.Join(kept, "\n"))
		p.say("The namespace %s and the database's passwords are kept with the data, and the next make up uses them again.\nTo delete the data too, for good: make down STACK=%s KEEP_VOLUMES=false", plan.DataNamespace, p.stack)
		return nil
	}
	p.step("Stack %s is gone from %s: no namespace, no volume, nothing of the releases is left.", p.stack, p.kube.context)
	if p.onMinikube(ctx) {
		p.say("minikube itself still runs: minikube stop -p %s, or minikube delete -p %s", p.kube.context, p.kube.context)
	}
	return nil
}

func (p *platform) volumesOf(ctx context.Context, namespaces []string) ([]string, error) {
	rows, err := p.kube.rows(ctx, []string{".spec.claimRef.namespace", ".metadata.name", ".spec.claimRef.name"}, "persistentvolumes")
	var volumes []string
	for _, row := range rows {
		if slices.Contains(namespaces, row[0]) {
			volumes = append(volumes, fmt.Sprintf("%s (%s/%s)", row[1], row[0], row[2]))
		}
	}
	return volumes, err
}
