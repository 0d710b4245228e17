package netpol

import (
	"fmt"
	"strings"

	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	networkingv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/networking/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/label"
)

// PoliciesArgs says which calls to allow.
type PoliciesArgs struct {
	Graph Graph

	// Namespaces maps the name of each closed namespace to its reference.
	Namespaces map[string]pulumi.StringInput
}

// Policies are the NetworkPolicy objects of a graph.
type Policies struct {
	pulumi.ResourceState
}

// NewPolicies declares the network policies of a graph.
func NewPolicies(
	ctx *pulumi.Context, name string, args *PoliciesArgs, opts ...pulumi.ResourceOption,
) (*Policies, error) {
	p := &Policies{}
	if err := ctx.RegisterComponentResource("shopstream:netpol:Policies", name, p, opts...); err != nil {
		return nil, fmt.Errorf("registering network policies: %w", err)
	}
	for _, policy := range args.Graph.Policies() {
		_, err := networkingv1.NewNetworkPolicy(ctx, policy.Namespace+"-"+policy.Name, &networkingv1.NetworkPolicyArgs{
			Metadata: label.Meta("allow-"+strings.ReplaceAll(policy.Name, " ", "-"), args.Namespaces[policy.Namespace],
				label.Standard(policy.Name, "policy")),
			Spec: spec(policy),
		}, pulumi.Parent(p))
		if err != nil {
			return nil, fmt.Errorf("creating network policy %s/%s: %w", policy.Namespace, policy.Name, err)
		}
	}
	return p, ctx.RegisterResourceOutputs(p, pulumi.Map{})
}

// spec names only the directions that the peer has rules for; deny-all covers the other one.
func spec(p Policy) *networkingv1.NetworkPolicySpecArgs {
	s := &networkingv1.NetworkPolicySpecArgs{
		PodSelector: &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(p.Labels)},
	}
	types := pulumi.StringArray{}
	if len(p.Ingress) > 0 {
		types = append(types, pulumi.String("Ingress"))
		rules := networkingv1.NetworkPolicyIngressRuleArray{}
		for _, r := range p.Ingress {
			rules = append(rules, networkingv1.NetworkPolicyIngressRuleArgs{From: peers(r.Peer), Ports: ports(r.Ports)})
		}
		s.Ingress = rules
	}
	if len(p.Egress) > 0 {
		types = append(types, pulumi.String("Egress"))
		rules := networkingv1.NetworkPolicyEgressRuleArray{}
		for _, r := range p.Egress {
			rules = append(rules, networkingv1.NetworkPolicyEgressRuleArgs{To: peers(r.Peer), Ports: ports(r.Ports)})
		}
		s.Egress = rules
	}
	s.PolicyTypes = types
	return s
}

// peers returns nil for a peer that can be anywhere: a rule without peers allows all of them.
func peers(p Peer) networkingv1.NetworkPolicyPeerArray {
	var list networkingv1.NetworkPolicyPeerArray
	for _, cidr := range p.Addresses {
		list = append(list, networkingv1.NetworkPolicyPeerArgs{
			IpBlock: &networkingv1.IPBlockArgs{Cidr: pulumi.String(cidr)},
		})
	}
	if p.Namespace == "" {
		return list
	}
	peer := networkingv1.NetworkPolicyPeerArgs{
		// One peer with both selectors means "and"; two peers would mean "or" and allow the whole namespace.
		NamespaceSelector: &metav1.LabelSelectorArgs{
			MatchLabels: pulumi.StringMap{"kubernetes.io/metadata.name": pulumi.String(p.Namespace)},
		},
	}
	if len(p.Labels) > 0 {
		peer.PodSelector = &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(p.Labels)}
	}
	return append(list, peer)
}

func ports(list []Port) networkingv1.NetworkPolicyPortArray {
	array := make(networkingv1.NetworkPolicyPortArray, 0, len(list))
	for _, p := range list {
		protocol := p.Protocol
		if protocol == "" {
			protocol = "TCP"
		}
		array = append(array, networkingv1.NetworkPolicyPortArgs{
			Port: pulumi.Int(p.Number), Protocol: pulumi.String(protocol),
		})
	}
	return array
}
