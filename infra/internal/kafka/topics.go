package kafka

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	batchv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/batch/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/label"
	"shopstream/infra/internal/namespace"
	"shopstream/infra/internal/pod"
	"shopstream/infra/internal/secret"
)

// TopicsName is the name of the Job's pods.
const TopicsName = "topics"

// Topic is a topic as it is declared.
type Topic struct {
	Name              string            `json:"name"`
	Partitions        int               `json:"partitions"`
	ReplicationFactor int               `json:"replicationFactor"`
	Config            map[string]string `json:"config,omitempty"`
}

// TopicsArgs describes the Job that creates and updates the declared topics and grants.
type TopicsArgs struct {
	Namespace *namespace.Namespace
	Image     string
	User      int
	Resources pod.Resources
	Topics    []Topic

	// Users have the rights in Grants and no others. Without users there is no access list.
	Users  []string
	Grants []Grant

	// External means that others run the cluster: what the Job may not change there, it only compares.
	External bool

	// Env and Files are what the Job needs to connect. Secrets are those that Env refers to: if their content changes, the
	// Job runs again.
	Env     []pod.Env
	Files   []pod.File
	Secrets []*secret.Secret

	// Options are additional options of the Job.
	Options []pulumi.ResourceOption
}

// Topics is the finished Job: resources that depend on it find the topics.
type Topics struct {
	pulumi.ResourceState
}

// NewTopics declares the Job. Its name contains a digest of its image and environment: a Job is immutable, so a changed
// declaration is a new Job, and an unchanged one runs none.
func NewTopics(ctx *pulumi.Context, name string, args *TopicsArgs, opts ...pulumi.ResourceOption) (*Topics, error) {
	t := &Topics{}
	if err := ctx.RegisterComponentResource("shopstream:kafka:Topics", name, t, opts...); err != nil {
		return nil, fmt.Errorf("registering topics: %w", err)
	}
	env, err := args.Environment()
	if err != nil {
		return nil, err
	}
	meta := &metav1.ObjectMetaArgs{Labels: pulumi.ToStringMap(label.Standard(TopicsName, "job"))}
	if len(args.Secrets) > 0 {
		meta.Annotations = pulumi.StringMap{secret.ChecksumAnnotation: secret.Checksum(args.Secrets...)}
	}
	jobName := TopicsName + "-" + digest(args.Image, env)
	_, err = batchv1.NewJob(ctx, TopicsName, &batchv1.JobArgs{
		Metadata: label.Meta(jobName, args.Namespace.Ref, label.Standard(TopicsName, "job")),
		Spec: &batchv1.JobSpecArgs{
			BackoffLimit:          pulumi.Int(6),
			ActiveDeadlineSeconds: pulumi.Int(600),
			Template: &corev1.PodTemplateSpecArgs{
				Metadata: meta,
				Spec: &corev1.PodSpecArgs{
					RestartPolicy:                pulumi.String("OnFailure"),
					EnableServiceLinks:           pulumi.Bool(false),
					AutomountServiceAccountToken: pulumi.Bool(false),
					SecurityContext:              pod.Security(args.User),
					Volumes:                      pod.FileVolumes(args.Files),
					Containers: corev1.ContainerArray{corev1.ContainerArgs{
						Name:            pulumi.String(TopicsName),
						Image:           pulumi.String(args.Image),
						ImagePullPolicy: pulumi.String("IfNotPresent"),
						Env:             pod.EnvVars(env),
						Resources:       args.Resources.Requirements(),
						SecurityContext: pod.ContainerSecurity(),
						VolumeMounts:    pod.FileMounts(args.Files),
					}},
				},
			},
		},
	}, slices.Concat([]pulumi.ResourceOption{pulumi.Parent(t)}, args.Options)...)
	if err != nil {
		return nil, fmt.Errorf("creating job %q: %w", jobName, err)
	}
	return t, ctx.RegisterResourceOutputs(t, pulumi.Map{})
}

// Environment returns the Job's environment.
func (args TopicsArgs) Environment() ([]pod.Env, error) {
	declaration, err := json.Marshal(args.Topics)
	if err != nil {
		return nil, fmt.Errorf("encoding topics: %w", err)
	}
	env := []pod.Env{pod.Value("TOPICS", string(declaration))}
	if len(args.Users) > 0 {
		access, err := json.Marshal(accessList(args.Users, args.Grants))
		if err != nil {
			return nil, fmt.Errorf("encoding the access list: %w", err)
		}
		env = append(env, pod.Value("ACLS", string(access)))
	}
	if args.External {
		env = append(env, pod.Value("EXTERNAL", "true"))
	}
	return append(env, args.Env...), nil
}

func digest(image string, env []pod.Env) string {
	h := fnv.New32a()
	fmt.Fprintln(h, image)
	for _, e := range env {
		fmt.Fprintln(h, strings.Join([]string{e.Name, e.Value, e.Field, e.Secret, e.Key}, "\x00"))
	}
	return fmt.Sprintf("%08x", h.Sum32())
}
