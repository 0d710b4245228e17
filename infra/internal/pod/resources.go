package pod

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Resources are the requests and limits of a container. Memory is both request and limit: it can't be taken back from a
// container, so overcommitting it gets containers killed. CPU can be, so it has a separate limit.
type Resources struct {
	CPU      resource.Quantity
	CPULimit resource.Quantity
	Memory   resource.Quantity
}

// Requirements converts the resources for a container.
func (r Resources) Requirements() *corev1.ResourceRequirementsArgs {
	return &corev1.ResourceRequirementsArgs{
		Requests: pulumi.StringMap{
			"cpu":    pulumi.String(r.CPU.String()),
			"memory": pulumi.String(r.Memory.String()),
		},
		Limits: pulumi.StringMap{
			"cpu":    pulumi.String(r.CPULimit.String()),
			"memory": pulumi.String(r.Memory.String()),
		},
	}
}

// Spread puts the pods with these labels on different nodes if possible and, in a cluster with zones, in different zones.
// The constraint is soft, so that pods can start on the remaining nodes when one is lost.
func Spread(selector map[string]string, zones bool) corev1.TopologySpreadConstraintArray {
	constraint := func(key string) corev1.TopologySpreadConstraintArgs {
		return corev1.TopologySpreadConstraintArgs{
			MaxSkew:           pulumi.Int(1),
			TopologyKey:       pulumi.String(key),
			WhenUnsatisfiable: pulumi.String("ScheduleAnyway"),
			LabelSelector:     &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(selector)},
		}
	}
	spread := corev1.TopologySpreadConstraintArray{constraint("kubernetes.io/hostname")}
	if zones {
		spread = append(spread, constraint("topology.kubernetes.io/zone"))
	}
	return spread
}
