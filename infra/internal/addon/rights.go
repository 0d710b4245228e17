package addon

import (
	"fmt"
	"maps"
	"slices"

	rbacv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/rbac/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/label"
)

// Rights are the rights of a chart's service account: in the cluster, and in each namespace.
type Rights struct {
	Account    string
	Cluster    []Rule
	Namespaces map[string][]Rule
}

// Rule allows verbs on resources of one API group; the empty group is Kubernetes's own. With names, it applies to these
// objects only.
type Rule struct {
	Group     string
	Resources []string
	Names     []string
	Verbs     []string
}

// reading returns the verbs that only read.
func reading() []string { return []string{"get", "list", "watch"} }

// grantor is the API group of roles.
const grantor = "rbac.authorization.k8s.io"

// NewRights grants a chart its rights, and returns the resources that must exist before its pods start. Objects of the
// cluster have the platform's name as a prefix, so that nobody else's are taken over.
func NewRights(
	ctx *pulumi.Context, chart Chart, namespaces map[string]pulumi.StringInput, opts ...pulumi.ResourceOption,
) ([]pulumi.Resource, error) {
	rights := chart.Rights
	if rights.Account == "" {
		return nil, nil
	}
	name := label.PartOf + "-" + chart.Name
	labels := label.Standard(name, "rights")
	subjects := rbacv1.SubjectArray{rbacv1.SubjectArgs{
		Kind: pulumi.String("ServiceAccount"), Name: pulumi.String(rights.Account), Namespace: namespaces[chart.Namespace],
	}}
	role := func(kind string) rbacv1.RoleRefArgs {
		return rbacv1.RoleRefArgs{ApiGroup: pulumi.String(grantor), Kind: pulumi.String(kind), Name: pulumi.String(name)}
	}

	clusterRole, err := rbacv1.NewClusterRole(ctx, name, &rbacv1.ClusterRoleArgs{
		Metadata: label.Meta(name, nil, labels), Rules: policyRules(rights.Cluster),
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("creating cluster role %q: %w", name, err)
	}
	clusterBinding, err := rbacv1.NewClusterRoleBinding(ctx, name, &rbacv1.ClusterRoleBindingArgs{
		Metadata: label.Meta(name, nil, labels), RoleRef: role("ClusterRole"), Subjects: subjects,
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("binding cluster role %q: %w", name, err)
	}
	granted := []pulumi.Resource{clusterRole, clusterBinding}
	for _, namespace := range slices.Sorted(maps.Keys(rights.Namespaces)) {
		meta := label.Meta(name, namespaces[namespace], labels)
		inside, err := rbacv1.NewRole(ctx, namespace+"-"+name, &rbacv1.RoleArgs{
			Metadata: meta, Rules: policyRules(rights.Namespaces[namespace]),
		}, opts...)
		if err != nil {
			return nil, fmt.Errorf("creating role %s/%s: %w", namespace, name, err)
		}
		binding, err := rbacv1.NewRoleBinding(ctx, namespace+"-"+name, &rbacv1.RoleBindingArgs{
			Metadata: meta, RoleRef: role("Role"), Subjects: subjects,
		}, opts...)
		if err != nil {
			return nil, fmt.Errorf("binding role %s/%s: %w", namespace, name, err)
		}
		granted = append(granted, inside, binding)
	}
	return granted, nil
}

func policyRules(list []Rule) rbacv1.PolicyRuleArray {
	array := make(rbacv1.PolicyRuleArray, 0, len(list))
	for _, r := range list {
		rule := rbacv1.PolicyRuleArgs{
			ApiGroups: pulumi.ToStringArray([]string{r.Group}),
			Resources: pulumi.ToStringArray(r.Resources),
			Verbs:     pulumi.ToStringArray(r.Verbs),
		}
		if len(r.Names) > 0 {
			rule.ResourceNames = pulumi.ToStringArray(r.Names)
		}
		array = append(array, rule)
	}
	return array
}
