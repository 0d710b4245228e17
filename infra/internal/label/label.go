// Package label sets the recommended Kubernetes labels, the same way on every object.
package label

import (
	"maps"

	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// PartOf is the value of app.kubernetes.io/part-of on every object of the platform.
const PartOf = "shopstream"

// Stack is the annotation of a namespace with the stack that created it. It is not a label, since names of stacks may be
// longer than the value of a label.
const Stack = "shopstream/stack"

// StackOf returns the value of that annotation in this run.
func StackOf(ctx *pulumi.Context) string { return ctx.Project() + "/" + ctx.Stack() }

// Ours reports whether an object with these labels was created by a stack of this program.
func Ours(labels map[string]string) bool {
	return labels["app.kubernetes.io/part-of"] == PartOf && labels["app.kubernetes.io/managed-by"] == "pulumi"
}

// Selector returns the labels that select a workload's pods. Selectors are immutable in Kubernetes, so they contain
// nothing that a later release may change: no version, no stack, no component.
func Selector(name string) map[string]string {
	return map[string]string{
		"app.kubernetes.io/name":    name,
		"app.kubernetes.io/part-of": PartOf,
	}
}

// Standard returns the labels of an object: its selector, its component, and who manages it.
func Standard(name, component string) map[string]string {
	labels := map[string]string{
		"app.kubernetes.io/component":  component,
		"app.kubernetes.io/managed-by": "pulumi",
	}
	maps.Copy(labels, Selector(name))
	return labels
}

// Meta returns the metadata of a namespaced object.
func Meta(name string, namespace pulumi.StringInput, labels map[string]string) *metav1.ObjectMetaArgs {
	return &metav1.ObjectMetaArgs{
		Name:      pulumi.String(name),
		Namespace: namespace,
		Labels:    pulumi.ToStringMap(labels),
	}
}
