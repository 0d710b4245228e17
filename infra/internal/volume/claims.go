// Package volume declares the volumes of a StatefulSet: the template of its volume claims, and the size that each of them
// grows to.
package volume

import (
	"fmt"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Name is the name of the volume in every pod.
const Name = "data"

// Claims are the volume claims of a StatefulSet, one for each of its pods.
type Claims struct {
	Set   string
	Count int

	// Class is the storage class; empty means the cluster's default.
	Class string
	Size  resource.Quantity
}

// Template is the template from which the StatefulSet creates the claims.
func (c Claims) Template() corev1.PersistentVolumeClaimTypeArgs {
	spec := &corev1.PersistentVolumeClaimSpecArgs{
		AccessModes: pulumi.ToStringArray([]string{"ReadWriteOnce"}),
		Resources:   c.resources(),
	}
	if c.Class != "" {
		spec.StorageClassName = pulumi.String(c.Class)
	}
	return corev1.PersistentVolumeClaimTypeArgs{Metadata: &metav1.ObjectMetaArgs{Name: pulumi.String(Name)}, Spec: spec}
}

func (c Claims) resources() *corev1.VolumeResourceRequirementsArgs {
	return &corev1.VolumeResourceRequirementsArgs{Requests: pulumi.StringMap{"storage": pulumi.String(c.Size.String())}}
}

// KeepTemplate leaves the template of a StatefulSet unchanged. Kubernetes refuses to change it, so the provider would
// delete the StatefulSet first, with all members and their volumes.
func KeepTemplate() pulumi.ResourceOption {
	return pulumi.IgnoreChanges([]string{"spec.volumeClaimTemplates"})
}

// Grow resizes each claim after the StatefulSet has created it. Nothing is restarted by that: the volume and its file
// system grow under the pod. A claim that is created later has the template's size, and grows in the same way.
func (c Claims) Grow(ctx *pulumi.Context, namespace pulumi.StringInput, set pulumi.Resource, opts ...pulumi.ResourceOption) error {
	for i := range c.Count {
		name := fmt.Sprintf("%s-%s-%d", Name, c.Set, i)
		_, err := corev1.NewPersistentVolumeClaimPatch(ctx, name, &corev1.PersistentVolumeClaimPatchArgs{
			Metadata: &metav1.ObjectMetaPatchArgs{Name: pulumi.String(name), Namespace: namespace},
			Spec: &corev1.PersistentVolumeClaimSpecPatchArgs{
				Resources: &corev1.VolumeResourceRequirementsPatchArgs{Requests: pulumi.StringMap{"storage": pulumi.String(c.Size.String())}},
			},
			// The claim is deleted with its StatefulSet. Kubernetes would refuse to reset its size before that.
		}, append(opts, pulumi.DependsOn([]pulumi.Resource{set}), pulumi.RetainOnDelete(true))...)
		if err != nil {
			return fmt.Errorf("growing claim %q: %w", name, err)
		}
	}
	return nil
}
