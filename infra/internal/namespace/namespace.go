// Package namespace declares namespaces that are closed from the start: Pod Security "restricted" is enforced, and no
// pod may send or receive anything until a policy allows it.
package namespace

import (
	"fmt"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/label"
)

// Namespace is a namespace with its deny-all policy.
type Namespace struct {
	pulumi.ResourceState

	// Name is the plain name, for addresses.
	Name string

	// Ref is the same name as an output: whatever uses it is created after the namespace and deleted before it.
	Ref pulumi.StringOutput
}

// New declares the namespace with that name.
func New(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (*Namespace, error) {
	ns := &Namespace{Name: name}
	if err := ctx.RegisterComponentResource("shopstream:namespace:Namespace", name, ns, opts...); err != nil {
		return nil, fmt.Errorf("registering namespace %q: %w", name, err)
	}
	if err := ns.provision(ctx); err != nil {
		return nil, err
	}
	return ns, ctx.RegisterResourceOutputs(ns, pulumi.Map{"name": ns.Ref})
}

func (ns *Namespace) provision(ctx *pulumi.Context) error {
	object, err := corev1.NewNamespace(ctx, ns.Name, &corev1.NamespaceArgs{
		Metadata: &metav1.ObjectMetaArgs{
			Name:        pulumi.String(ns.Name),
			Labels:      pulumi.ToStringMap(labels(ns.Name)),
			Annotations: pulumi.StringMap{label.Stack: pulumi.String(label.StackOf(ctx))},
		},
	}, pulumi.Parent(ns))
	if err != nil {
		return fmt.Errorf("creating namespace %q: %w", ns.Name, err)
	}
	ns.Ref = object.Metadata.Name().Elem()

	_, err = networkingv1.NewNetworkPolicy(ctx, ns.Name+"-deny-all", &networkingv1.NetworkPolicyArgs{
		Metadata: label.Meta("deny-all", ns.Ref, label.Standard("deny-all", "policy")),
		Spec: &networkingv1.NetworkPolicySpecArgs{
			PodSelector: &metav1.LabelSelectorArgs{},
			PolicyTypes: pulumi.ToStringArray([]string{"Ingress", "Egress"}),
		},
	}, pulumi.Parent(ns))
	if err != nil {
		return fmt.Errorf("denying traffic in namespace %q: %w", ns.Name, err)
	}
	return nil
}

// labels sets "restricted" in every mode: enforce refuses the pod, warn and audit name its workload.
func labels(name string) map[string]string {
	l := label.Standard(name, "namespace")
	for _, mode := range []string{"enforce", "audit", "warn"} {
		l["pod-security.kubernetes.io/"+mode] = "restricted"
	}
	return l
}
