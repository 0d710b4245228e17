// Package pod has what all pods of the platform share: environments, security context, resources, topology spread and
// volumes.
package pod

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Env is one environment variable of a container: a plain value, a field of the pod, or a key of a Secret. It is plain
// data, so that an environment can be compared with what a program reads without running anything.
type Env struct {
	Name  string
	Value string

	// Field is a path for the downward API, such as metadata.name.
	Field string

	// Secret and Key name an entry of a Secret in the pod's namespace.
	Secret, Key string
}

// Value returns a variable with a plain value. $(NAME) in it refers to an earlier variable of the same list.
func Value(name, value string) Env { return Env{Name: name, Value: value} }

// Field returns a variable that the downward API sets from the pod's own fields.
func Field(name, path string) Env { return Env{Name: name, Field: path} }

// Zone returns a variable with the zone of the pod's node. From Kubernetes 1.35 on, the API server copies that label from
// the node to the pod when the pod is scheduled (admission plugin PodTopologyLabels). Before, the variable is empty.
func Zone(name string) Env { return Field(name, "metadata.labels['topology.kubernetes.io/zone']") }

// Secret returns a variable read from a Secret, so that its value is never in a pod's specification.
func Secret(name, secret, key string) Env { return Env{Name: name, Secret: secret, Key: key} }

// EnvVars converts an environment for a container.
func EnvVars(env []Env) corev1.EnvVarArray {
	vars := make(corev1.EnvVarArray, 0, len(env))
	for _, e := range env {
		arg := corev1.EnvVarArgs{Name: pulumi.String(e.Name)}
		switch {
		case e.Field != "":
			arg.ValueFrom = &corev1.EnvVarSourceArgs{
				FieldRef: &corev1.ObjectFieldSelectorArgs{FieldPath: pulumi.String(e.Field)},
			}
		case e.Secret != "":
			arg.ValueFrom = &corev1.EnvVarSourceArgs{
				SecretKeyRef: &corev1.SecretKeySelectorArgs{
					Name: pulumi.String(e.Secret),
					Key:  pulumi.String(e.Key),
				},
			}
		default:
			arg.Value = pulumi.String(e.Value)
		}
		vars = append(vars, arg)
	}
	return vars
}
