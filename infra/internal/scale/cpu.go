// Package scale declares autoscalers. A Deployment has exactly one: a HorizontalPodAutoscaler, or a ScaledObject, for which
// KEDA creates one.
package scale

import (
	"fmt"

	autoscalingv2 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/autoscaling/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/label"
	"shopstream/infra/internal/namespace"
)

// Range is the minimum and the maximum number of pods.
type Range struct {
	Min, Max int
}

// Target is what an autoscaler scales.
type Target struct {
	Namespace  *namespace.Namespace
	Deployment string
	Range      Range
}

// CPU is how much of it, in cores, each pod is to use on average.
type CPU float64

func (c CPU) quantity() string { return fmt.Sprintf("%.0fm", c*1000) }

// NewCPU declares a HorizontalPodAutoscaler that keeps the pods at that use of CPU.
func NewCPU(
	ctx *pulumi.Context, name string, target Target, cpu CPU, opts ...pulumi.ResourceOption,
) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	scaler, err := autoscalingv2.NewHorizontalPodAutoscaler(ctx, name, &autoscalingv2.HorizontalPodAutoscalerArgs{
		Metadata: label.Meta(target.Deployment, target.Namespace.Ref, label.Standard(target.Deployment, "autoscaler")),
		Spec: &autoscalingv2.HorizontalPodAutoscalerSpecArgs{
			ScaleTargetRef: &autoscalingv2.CrossVersionObjectReferenceArgs{
				ApiVersion: pulumi.String("apps/v1"),
				Kind:       pulumi.String("Deployment"),
				Name:       pulumi.String(target.Deployment),
			},
			MinReplicas: pulumi.Int(target.Range.Min),
			MaxReplicas: pulumi.Int(target.Range.Max),
			Metrics: autoscalingv2.MetricSpecArray{autoscalingv2.MetricSpecArgs{
				Type: pulumi.String("Resource"),
				Resource: &autoscalingv2.ResourceMetricSourceArgs{
					Name: pulumi.String("cpu"),
					Target: &autoscalingv2.MetricTargetArgs{
						Type:         pulumi.String("AverageValue"),
						AverageValue: pulumi.String(cpu.quantity()),
					},
				},
			}},
		},
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("creating autoscaler %q: %w", name, err)
	}
	return scaler, nil
}
