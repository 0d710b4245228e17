// Package app declares a service of the platform: its Deployment, its Service, and its disruption budget.
package app

import (
	"fmt"
	"slices"
	"time"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	policyv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/policy/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/label"
	"shopstream/infra/internal/namespace"
	"shopstream/infra/internal/netpol"
	"shopstream/infra/internal/pod"
	"shopstream/infra/internal/secret"
)

// User is the user of the service images: "nonroot" of the distroless images.
const User = 65532

// PortName is the name of a service's only port.
const PortName = "http"

// ShutdownSteps is the maximum number of steps in which a service stops, each with a time limit: requests, consumer,
// producer, database, and the listener for probes.
const ShutdownSteps = 5

// WorkloadArgs describes a service.
type WorkloadArgs struct {
	Namespace *namespace.Namespace
	Image     string
	Port      int
	Env       []pod.Env
	Resources pod.Resources
	Zones     bool

	// Drain is how long the service continues to serve after it has reported not ready; Step is the time limit of each
	// step after that.
	Drain, Step time.Duration

	// Files are the Secrets that the service reads as files.
	Files []pod.File

	// Options are additional resource options of the Deployment.
	Options []pulumi.ResourceOption

	// Secrets are those that the environment refers to: if their content changes, the pods restart.
	Secrets []*secret.Secret
}

// Workload is a running service. It leaves the number of replicas to its autoscaler: if both set it, they would overwrite
// each other.
type Workload struct {
	pulumi.ResourceState

	// Deployment is what the autoscaler scales; the autoscaler depends on it.
	Deployment *appsv1.Deployment
}

// NewWorkload declares a service.
func NewWorkload(
	ctx *pulumi.Context, name string, args *WorkloadArgs, opts ...pulumi.ResourceOption,
) (*Workload, error) {
	w := &Workload{}
	if err := ctx.RegisterComponentResource("shopstream:app:Workload", name, w, opts...); err != nil {
		return nil, fmt.Errorf("registering service %q: %w", name, err)
	}
	if err := w.provision(ctx, name, args); err != nil {
		return nil, err
	}
	return w, ctx.RegisterResourceOutputs(w, pulumi.Map{"deployment": pulumi.String(name)})
}

// Pods returns the pods of a service as one end of a call.
func Pods(name, namespace string) netpol.Peer {
	return netpol.Peer{Name: name, Namespace: namespace, Labels: label.Selector(name)}
}

func (w *Workload) provision(ctx *pulumi.Context, name string, args *WorkloadArgs) error {
	meta := label.Meta(name, args.Namespace.Ref, label.Standard(name, "service"))

	account, err := corev1.NewServiceAccount(ctx, name, &corev1.ServiceAccountArgs{
		Metadata:                     meta,
		AutomountServiceAccountToken: pulumi.Bool(false),
	}, pulumi.Parent(w))
	if err != nil {
		return fmt.Errorf("creating service account %q: %w", name, err)
	}

	deployment, err := appsv1.NewDeployment(ctx, name, &appsv1.DeploymentArgs{
		Metadata: meta,
		Spec:     args.deployment(name),
	}, slices.Concat([]pulumi.ResourceOption{
		pulumi.Parent(w), pulumi.DependsOn([]pulumi.Resource{account}),
	}, args.Options)...)
	if err != nil {
		return fmt.Errorf("creating deployment %q: %w", name, err)
	}
	w.Deployment = deployment

	_, err = corev1.NewService(ctx, name, &corev1.ServiceArgs{
		Metadata: meta,
		Spec: &corev1.ServiceSpecArgs{
			Selector: pulumi.ToStringMap(label.Selector(name)),
			Ports: corev1.ServicePortArray{corev1.ServicePortArgs{
				Name: pulumi.String(PortName), Port: pulumi.Int(args.Port), TargetPort: pulumi.String(PortName),
			}},
		},
		// Created last, since pulumi waits for a service's first endpoint.
	}, pulumi.Parent(w), pulumi.DependsOn([]pulumi.Resource{deployment}))
	if err != nil {
		return fmt.Errorf("creating service %q: %w", name, err)
	}

	_, err = policyv1.NewPodDisruptionBudget(ctx, name, &policyv1.PodDisruptionBudgetArgs{
		Metadata: meta,
		Spec: &policyv1.PodDisruptionBudgetSpecArgs{
			MaxUnavailable: pulumi.Int(1),
			Selector:       &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(label.Selector(name))},
		},
	}, pulumi.Parent(w))
	if err != nil {
		return fmt.Errorf("creating disruption budget %q: %w", name, err)
	}
	return nil
}

func (args WorkloadArgs) deployment(name string) *appsv1.DeploymentSpecArgs {
	meta := &metav1.ObjectMetaArgs{Labels: pulumi.ToStringMap(label.Standard(name, "service"))}
	if len(args.Secrets) > 0 {
		meta.Annotations = pulumi.StringMap{secret.ChecksumAnnotation: secret.Checksum(args.Secrets...)}
	}
	return &appsv1.DeploymentSpecArgs{
		Selector: &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(label.Selector(name))},
		Strategy: &appsv1.DeploymentStrategyArgs{
			Type: pulumi.String("RollingUpdate"),
			RollingUpdate: &appsv1.RollingUpdateDeploymentArgs{
				MaxSurge: pulumi.Int(1), MaxUnavailable: pulumi.Int(0),
			},
		},
		Template: &corev1.PodTemplateSpecArgs{
			Metadata: meta,
			Spec: &corev1.PodSpecArgs{
				ServiceAccountName:            pulumi.String(name),
				EnableServiceLinks:            pulumi.Bool(false),
				AutomountServiceAccountToken:  pulumi.Bool(false),
				SecurityContext:               pod.Security(User),
				TopologySpreadConstraints:     pod.Spread(label.Selector(name), args.Zones),
				TerminationGracePeriodSeconds: pulumi.Int(args.gracePeriod()),
				Volumes:                       pod.FileVolumes(args.Files),
				Containers: corev1.ContainerArray{corev1.ContainerArgs{
					Name:            pulumi.String(name),
					Image:           pulumi.String(args.Image),
					ImagePullPolicy: pulumi.String("IfNotPresent"),
					Env:             pod.EnvVars(args.environment()),
					Ports: corev1.ContainerPortArray{corev1.ContainerPortArgs{
						Name: pulumi.String(PortName), ContainerPort: pulumi.Int(args.Port),
					}},
					Resources:       args.Resources.Requirements(),
					SecurityContext: pod.ContainerSecurity(),
					VolumeMounts:    pod.FileMounts(args.Files),
					// A service is alive as long as it answers. Its dependencies affect only readiness, since a restart doesn't repair
					// them.
					StartupProbe:   probe("/-/healthy", 2, 30),
					LivenessProbe:  probe("/-/healthy", 10, 3),
					ReadinessProbe: probe("/-/ready", 5, 2),
				}},
			},
		},
	}
}

// environment adds variables that follow from running in Kubernetes.
func (args WorkloadArgs) environment() []pod.Env {
	return append([]pod.Env{
		pod.Value("HTTP_ADDR", fmt.Sprintf(":%d", args.Port)),
		pod.Value("DRAIN_DELAY", args.Drain.String()),
		pod.Value("SHUTDOWN_TIMEOUT", args.Step.String()),
	}, args.Env...)
}

// gracePeriod is longer than all steps of the shutdown together, so that the pod is not killed before it has finished.
func (args WorkloadArgs) gracePeriod() int {
	return int((args.Drain + ShutdownSteps*args.Step + 5*time.Second).Seconds())
}

func probe(path string, period, failures int) *corev1.ProbeArgs {
	return &corev1.ProbeArgs{
		HttpGet:          &corev1.HTTPGetActionArgs{Path: pulumi.String(path), Port: pulumi.String(PortName)},
		PeriodSeconds:    pulumi.Int(period),
		TimeoutSeconds:   pulumi.Int(2),
		FailureThreshold: pulumi.Int(failures),
	}
}
