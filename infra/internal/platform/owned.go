package platform

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/label"
	"shopstream/infra/internal/plan"
)

// existingNamespace is a namespace in the cluster.
type existingNamespace struct {
	Metadata struct {
		Name        string            `json:"name"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
}

// checkOwned returns an error if a namespace of the stack already exists and has another owner. The provider would take it
// over, deny all traffic in it, and delete it with everything in it when the stack is destroyed. A preview without a
// cluster warns that it could not check.
func (h Host) checkOwned(ctx *pulumi.Context, c config.Config) error {
	existing, err := h.namespaces(c.Cluster.Context)
	if err != nil && ctx.DryRun() {
		warning := fmt.Sprintf("No cluster answers, so this preview can't tell whether its namespaces have another owner: %v", err)
		if err := ctx.Log.Warn(warning, nil); err != nil {
			return fmt.Errorf("logging: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("checking for namespaces with another owner: %w", err)
	}
	return foreign(existing, plan.ClosedNamespaces(c), label.StackOf(ctx))
}

// foreign returns an error for each wanted namespace that exists and was not created by that stack. Namespaces from before
// the annotation was introduced have only the labels.
func foreign(existing []existingNamespace, wanted []string, stack string) error {
	var faults []error
	for _, ns := range existing {
		name := ns.Metadata.Name
		if !slices.Contains(wanted, name) {
			continue
		}
		owner, annotated := ns.Metadata.Annotations[label.Stack]
		switch {
		case !label.Ours(ns.Metadata.Labels):
			faults = append(faults, fmt.Errorf("namespace %q exists, but no stack of this program has created it: the stack would deny all traffic in it, and delete it on destroy; "+
				"configure another name, turn off the addon that uses it, or delete the namespace", name))
		case annotated && owner != stack:
			faults = append(faults, fmt.Errorf("namespace %q belongs to the stack %q, and this one is %q: "+
				"take that stack down first, or use another cluster", name, owner, stack))
		}
	}
	return errors.Join(faults...)
}

// kubectlNamespaces lists the namespaces of the cluster in that kubeconfig context.
func kubectlNamespaces(kubeContext string) ([]existingNamespace, error) {
	var list struct {
		Items []existingNamespace `json:"items"`
	}
	err := kubectlGet(kubeContext, &list, "namespaces")
	return list.Items, err
}
