package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
)

func (p *platform) down(ctx context.Context) error {
	if err := need("pulumi", "kubectl"); err != nil {
		return err
	}
	if !p.kube.answers(ctx) {
		return fmt.Errorf("no cluster answers at the context %q, so nothing can be taken away. Start it (minikube start). If it is gone for good: %s",
			p.kube.context, p.byHand("stack rm --force"))
	}
	project, settings, err := p.settings()
	if err != nil {
		return err
	}
	b, err := p.findBackend(settings)
	if err != nil {
		return err
	}
	if err := p.checkConsent(); err != nil {
		return err
	}
	if p.asks() {
		if err := p.ask(fmt.Sprintf("Take down stack %s on %s?", p.stack, p.kube.context)); err != nil {
			return err
		}
	}
	stack, err := p.open(ctx, project, settings, b)
	if err != nil {
		return err
	}
	if err := p.unlock(ctx, stack, b); err != nil {
		return err
	}
	if err := p.protectVolumes(ctx, stack); err != nil {
		return err
	}
	if err := p.releaseScalers(ctx); err != nil {
		return err
	}
	namespaces, err := p.kube.namespaces(ctx)
	if err != nil {
		return err
	}
	p.step("Taking down stack %s on %s", p.stack, p.kube.context)
	started, err := p.follow(func(stream chan<- events.EngineEvent) error {
		_, err := stack.Destroy(ctx, optdestroy.EventStreams(stream), optdestroy.SuppressProgress())
		return err
	})
	if err != nil {
		return p.unfinished(ctx, "down", started, err)
	}
	return p.checkGone(ctx, namespaces)
}

// keepsVolumes: KEEP_VOLUMES=false says otherwise for once.
func (p *platform) keepsVolumes() bool {
	return p.config.KeepVolumes && p.getenv("KEEP_VOLUMES") != "false"
}

// protectVolumes has what the stack's file says about the volumes agree with what the last up has made of it.
func (p *platform) protectVolumes(ctx context.Context, stack *auto.Stack) error {
	state, err := written(ctx, stack)
	if err != nil {
		return err
	}
	protected := false
	for _, resource := range state.Resources {
		protected = protected || resource.Protect
	}
	if p.keepsVolumes() {
		namespaces, err := p.kube.namespaces(ctx)
		if err == nil && !protected && slices.Contains(namespaces, shopData) {
			err = fmt.Errorf("keepVolumes is set since the last up, which would let the volumes go. Run make up first; or, to let them go: make down STACK=%s KEEP_VOLUMES=false", p.stack)
		}
		return err
	}
	if protected {
		if err := p.pulumi(ctx, stack, "state", "unprotect", "--all", "--yes"); err != nil {
			return fmt.Errorf("the volumes are still protected, and nothing has been taken down: %w", err)
		}
	}
	return nil
}

// checkGone looks for what is left in the namespaces that there were, waits for what is on its way, and says what stays
// and why.
func (p *platform) checkGone(ctx context.Context, namespaces []string) error {
	var left, volumes []string
	var err error
	gone := within(ctx, p.patience, func(ctx context.Context) bool {
		if left, err = p.kube.namespaces(ctx); err != nil {
			return false
		}
		if volumes, err = p.volumesOf(ctx, namespaces); err != nil {
			return false
		}
		if p.keepsVolumes() {
			left = slices.DeleteFunc(left, func(name string) bool { return name == shopData })
			volumes = slices.DeleteFunc(volumes, func(name string) bool { return strings.Contains(name, "("+shopData+"/") })
		}
		return len(left)+len(volumes) == 0
	})
	if err := p.removeClusterWide(ctx, namespaces); err != nil {
		return err
	}
	if !gone {
		for _, name := range left {
			why, _ := p.kube.run(ctx, "get", "namespace", name, "-o", `jsonpath={range .status.conditions[?(@.status=="True")]}{.message} {end}`)
			p.warn("namespace %s: %s", name, strings.TrimSpace(why))
		}
		return errors.Join(err, fmt.Errorf("after %s this is still there: %s", p.patience, strings.Join(append(left, volumes...), " ")))
	}
	if p.keepsVolumes() {
		kept, err := p.volumesOf(ctx, []string{shopData})
		if err != nil {
			return err
		}
		p.step("Stack %s is gone from %s, all but the data, as keepVolumes says:", p.stack, p.kube.context)
		p.say("%s", strings.Join(kept, "\n"))
		p.say("The namespace %s and the database's passwords are kept with it, and the next make up goes on from there. To\nremove the data too, for good: make down STACK=%s KEEP_VOLUMES=false", shopData, p.stack)
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

// removeClusterWide removes what the releases in those namespaces have made outside of them and left behind.
func (p *platform) removeClusterWide(ctx context.Context, namespaces []string) error {
	columns := []string{
		".kind", ".metadata.name", `.metadata.annotations.meta\.helm\.sh/release-name`,
		`.metadata.annotations.meta\.helm\.sh/release-namespace`, ".metadata.namespace",
	}
	const kinds = "crd,apiservice,clusterrole,clusterrolebinding,ingressclass,validatingwebhookconfiguration,mutatingwebhookconfiguration"
	rows, err := p.kube.rows(ctx, columns, kinds)
	if err != nil {
		return err
	}
	inside, err := p.kube.rows(ctx, columns, "-n", "kube-system", "role,rolebinding")
	if err != nil {
		return err
	}
	for _, row := range append(rows, inside...) {
		kind, name, release, owner, inside := row[0], row[1], row[2], row[3], row[4]
		if !slices.Contains(releases, release) || !slices.Contains(namespaces, owner) {
			continue
		}
		p.say("Removing %s %s, which a release has left behind.", kind, name)
		arguments := []string{"delete", kind, name, "--wait=false"}
		if absent(inside) != "" {
			arguments = append(arguments, "-n", inside)
		}
		if _, err := p.kube.run(ctx, arguments...); err != nil {
			return err
		}
	}
	return nil
}

// releases are the names of those that the program installs.
var releases = []string{"ingress-nginx", "keda", "metrics-server", "prometheus"}
