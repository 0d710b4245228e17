package kafka

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/batch/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

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

// TopicsArgs describes the Jobs that create and update the declared topics and grants, move partitions, and end upgrades.
type TopicsArgs struct {
	Namespace *namespace.Namespace
	Image     string
	User      int
	Resources pod.Resources
	Topics    []Topic

	// Users have the rights in Grants and no others. Without users there is no access list.
	Users  []string
	Grants []Grant

	// Moving is how partitions are moved between the brokers. Nil means that others run the cluster: what the Job may not
	// change there, it only compares.
	Moving *Moving

	// Finalize says when features are finalized. Nil leaves them as they are.
	Finalize *Finalize

	// Env and Files are what the Job needs to connect. Secrets are those that Env refers to: if their content changes, the
	// Job runs again.
	Env     []pod.Env
	Files   []pod.File
	Secrets []*secret.Secret

	// Options are additional options of everything that runs the image.
	Options []pulumi.ResourceOption
}

// Moving is how partitions are moved.
type Moving struct {
	Brokers int

	// Rate is how many bytes per second each broker may send, and receive, while partitions are moved.
	Rate resource.Quantity

	// Storage is the size of each broker's volume, and so the most that is moved to it.
	Storage resource.Quantity
}

// deadline is the deadline of a Job that may move partitions: ten minutes for everything else, and twice the time it
// takes to move all that the brokers can hold, one partition at a time.
func (m *Moving) deadline() time.Duration {
	const rest = 10 * time.Minute
	if m == nil {
		return rest
	}
	seconds := 2 * float64(m.Brokers) * m.Storage.AsApproximateFloat64() / m.Rate.AsApproximateFloat64()
	return rest + time.Duration(min(seconds, (365*24*time.Hour).Seconds()))*time.Second
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
	jobName := TopicsName + "-" + digest(args.Image, env)
	meta := label.Meta(jobName, args.Namespace.Ref, label.Standard(TopicsName, jobComponent))
	// A Job that has failed, or was left by an interrupted run, is replaced by one that continues where it stopped.
	meta.Annotations = pulumi.StringMap{"pulumi.com/replaceUnready": pulumi.String("true")}
	deadline := args.Moving.deadline()
	declared, err := batchv1.NewJob(ctx, TopicsName, &batchv1.JobArgs{
		Metadata: meta,
		Spec: &batchv1.JobSpecArgs{
			BackoffLimit:          pulumi.Int(6),
			ActiveDeadlineSeconds: pulumi.Int(int(deadline.Seconds())),
			Template:              args.template(jobComponent, env),
		},
	}, slices.Concat([]pulumi.ResourceOption{
		pulumi.Parent(t), pulumi.Timeouts(&pulumi.CustomTimeouts{Create: (deadline + time.Minute).String()}),
	}, args.Options)...)
	if err != nil {
		return nil, fmt.Errorf("creating job %q: %w", jobName, err)
	}
	if err := t.finalize(ctx, args, env, declared); err != nil {
		return nil, err
	}
	return t, ctx.RegisterResourceOutputs(t, pulumi.Map{})
}

const (
	jobComponent      = "job"
	finalizeComponent = "finalize"
)

// template is the pod template of the Jobs. The arguments select what it runs; without any it declares the topics.
func (args TopicsArgs) template(component string, env []pod.Env, arguments ...string) *corev1.PodTemplateSpecArgs {
	meta := &metav1.ObjectMetaArgs{Labels: pulumi.ToStringMap(label.Standard(TopicsName, component))}
	if len(args.Secrets) > 0 {
		meta.Annotations = pulumi.StringMap{secret.ChecksumAnnotation: secret.Checksum(args.Secrets...)}
	}
	container := corev1.ContainerArgs{
		Name:            pulumi.String(TopicsName),
		Image:           pulumi.String(args.Image),
		ImagePullPolicy: pulumi.String("IfNotPresent"),
		Env:             pod.EnvVars(env),
		Resources:       args.Resources.Requirements(),
		SecurityContext: pod.ContainerSecurity(),
		VolumeMounts:    pod.FileMounts(args.Files),
	}
	if len(arguments) > 0 {
		container.Args = pulumi.ToStringArray(arguments)
	}
	return &corev1.PodTemplateSpecArgs{
		Metadata: meta,
		Spec: &corev1.PodSpecArgs{
			RestartPolicy:                pulumi.String("Never"), // a pod for each attempt, so that its log is kept
			EnableServiceLinks:           pulumi.Bool(false),
			AutomountServiceAccountToken: pulumi.Bool(false),
			SecurityContext:              pod.Security(args.User),
			Volumes:                      pod.FileVolumes(args.Files),
			Containers:                   corev1.ContainerArray{container},
		},
	}
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
	if args.Moving == nil {
		env = append(env, pod.Value("EXTERNAL", "true"))
	} else {
		env = append(env,
			pod.Value("BROKERS", strconv.Itoa(args.Moving.Brokers)),
			pod.Value("MOVE_BYTES_PER_SECOND", strconv.FormatInt(args.Moving.Rate.Value(), 10)),
		)
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
