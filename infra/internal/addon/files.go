package addon

import (
	"fmt"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/label"
)

// FilesName is the name of the ConfigMap with a chart's files. It is not one that the chart itself uses.
func FilesName(chart string) string { return label.PartOf + "-" + chart }

// NewFiles makes the ConfigMap with a chart's files, and returns the resources that must exist before its pods start.
func NewFiles(ctx *pulumi.Context, chart Chart, namespace pulumi.StringInput, opts ...pulumi.ResourceOption) ([]pulumi.Resource, error) {
	if len(chart.Files) == 0 {
		return nil, nil
	}
	name := FilesName(chart.Name)
	files, err := corev1.NewConfigMap(ctx, name, &corev1.ConfigMapArgs{
		Metadata: label.Meta(name, namespace, label.Standard(name, "files")), Data: pulumi.ToStringMap(chart.Files),
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("creating config map %q: %w", name, err)
	}
	return []pulumi.Resource{files}, nil
}
