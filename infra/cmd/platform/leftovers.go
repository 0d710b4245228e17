package main

import (
	"context"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"shopstream/infra/internal/plan"
)

// namespaces lists those that this stack has created on the cluster. Another stack's must not be touched.
func (p *platform) namespaces(ctx context.Context) ([]string, error) {
	stacks, err := p.kube.namespaces(ctx)
	return p.own(stacks), err
}

// own returns the namespaces of this stack, and those that name no stack, sorted.
func (p *platform) own(stacks map[string]string) []string {
	var own []string
	for name, stack := range stacks {
		if stack == "" || stack == p.owner() {
			own = append(own, name)
		}
	}
	slices.Sort(own)
	return own
}

// release is a Helm release, as named by the annotations of the objects that it has created.
type release struct{ namespace, name string }

// releases returns the releases in the state of a stack.
func releases(state apitype.DeploymentV3) []release {
	var found []release
	for _, resource := range state.Resources {
		if resource.Type.Name() == "Release" {
			namespace, _ := resource.Inputs["namespace"].(string)
			name, _ := resource.Inputs["name"].(string)
			found = append(found, release{namespace, name})
		}
	}
	return found
}

// declared returns the releases in these namespaces that the stack's file declares. After an interrupted run the state may
// no longer have them.
func (p *platform) declared(namespaces []string) []release {
	var asked []release
	for _, chart := range plan.Charts(p.config) {
		if slices.Contains(namespaces, chart.Namespace) {
			asked = append(asked, release{chart.Namespace, chart.Name})
		}
	}
	return asked
}

// removeLeftovers deletes objects outside of their namespaces that removed releases have left behind.
func (p *platform) removeLeftovers(ctx context.Context, removed []release) error {
	if len(removed) == 0 {
		return nil
	}
	const kinds = "crd,apiservice,clusterrole,clusterrolebinding,ingressclass,validatingwebhookconfiguration,mutatingwebhookconfiguration,role,rolebinding"
	rows, err := p.kube.rows(ctx, []string{
		".kind", ".metadata.name", `.metadata.annotations.meta\.helm\.sh/release-name`,
		`.metadata.annotations.meta\.helm\.sh/release-namespace`, ".metadata.namespace",
	}, "-A", kinds)
	for _, row := range rows {
		kind, name, owner, inside := row[0], row[1], release{namespace: row[3], name: row[2]}, row[4]
		// An object in the release's own namespace is deleted with the namespace.
		if !slices.Contains(removed, owner) || inside == owner.namespace {
			continue
		}
		p.say("Deleting %s %s, which the release %s has left behind.", kind, name, owner.name)
		if _, err := p.kube.run(ctx, "delete", kind, name, "--wait=false", "--ignore-not-found", "-n", inside); err != nil {
			return err
		}
	}
	return err
}
