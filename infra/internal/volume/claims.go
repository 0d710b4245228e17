// Package volume declares volume claims, and the size that each of them grows to.
package volume

import (
	"fmt"
	"slices"

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
	return corev1.PersistentVolumeClaimTypeArgs{Metadata: &metav1.ObjectMetaArgs{Name: pulumi.String(Name)}, Spec: c.spec()}
}

func (c Claims) spec() *corev1.PersistentVolumeClaimSpecArgs {
	spec := &corev1.PersistentVolumeClaimSpecArgs{
		AccessModes: pulumi.ToStringArray([]string{"ReadWriteOnce"}),
		Resources: &corev1.VolumeResourceRequirementsArgs{
			Requests: pulumi.StringMap{"storage": pulumi.String(c.Size.String())},
		},
	}
	if c.Class != "" {
		spec.StorageClassName = pulumi.String(c.Class)
	}
	return spec
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
		meta := &metav1.ObjectMetaPatchArgs{Name: pulumi.String(name), Namespace: namespace}
		if err := grow(ctx, name, meta, c.Size, append(slices.Clone(opts), pulumi.DependsOn([]pulumi.Resource{set}))...); err != nil {
			return err
		}
	}
	return nil
}

// NewClaim declares a volume claim of its own, which grows in the same way: if its declaration had another size, the provider
// would replace the claim, and delete what is in the volume. The claim is a child of parent.
func NewClaim(
	ctx *pulumi.Context, name string, meta *metav1.ObjectMetaArgs, class string, size resource.Quantity, parent pulumi.Resource,
	opts ...pulumi.ResourceOption,
) error {
	// If the class waits for a first pod, the claim is bound by that, and not before.
	skipAwait := pulumi.StringMap{"pulumi.com/skipAwait": pulumi.String("true")}
	meta.Annotations = skipAwait
	claim, err := corev1.NewPersistentVolumeClaim(ctx, name, &corev1.PersistentVolumeClaimArgs{
		Metadata: meta, Spec: Claims{Class: class, Size: size}.spec(),
	}, pulumi.Parent(parent), pulumi.IgnoreChanges([]string{"spec"}))
	if err != nil {
		return fmt.Errorf("creating volume claim %q: %w", name, err)
	}
	patch := &metav1.ObjectMetaPatchArgs{Name: meta.Name, Namespace: meta.Namespace, Annotations: skipAwait}
	return grow(ctx, name, patch, size, append(slices.Clone(opts), pulumi.DependsOn([]pulumi.Resource{claim}))...)
}

// grow resizes a claim.
func grow(
	ctx *pulumi.Context, name string, meta *metav1.ObjectMetaPatchArgs, size resource.Quantity, opts ...pulumi.ResourceOption,
) error {
	_, err := corev1.NewPersistentVolumeClaimPatch(ctx, name, &corev1.PersistentVolumeClaimPatchArgs{
		Metadata: meta,
		Spec: &corev1.PersistentVolumeClaimSpecPatchArgs{
			Resources: &corev1.VolumeResourceRequirementsPatchArgs{Requests: pulumi.StringMap{"storage": pulumi.String(size.String())}},
		},
		// The claim itself is deleted with its StatefulSet or declaration. Deleting the patch would reset its size, which
		// Kubernetes refuses.
	}, append(opts, pulumi.RetainOnDelete(true))...)
	if err != nil {
		return fmt.Errorf("growing claim %q: %w", name, err)
	}
	return nil
}
