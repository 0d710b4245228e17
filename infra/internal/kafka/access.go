package kafka

import (
	"fmt"
	"hash/fnv"
	"strings"

	batchv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/batch/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/label"
	"shopstream/infra/internal/namespace"
	"shopstream/infra/internal/netpol"
	"shopstream/infra/internal/pod"
)

// AccessName is the name of the Job's pods.
const AccessName = "kafka-access"

// Grant lets a user do some operations on what has a name: one line of the access list.
type Grant struct {
	User       string
	Operations []string

	// Exactly one of these is set. "*" is every topic or group; a transactional id is the beginning of one.
	Topic, Group, TransactionalID string
	Cluster                       bool
}

// arguments are those of Kafka's own tool.
func (g Grant) arguments() []string {
	args := []string{"--add", "--force", "--allow-principal", "User:" + g.User}
	for _, operation := range g.Operations {
		args = append(args, "--operation", operation)
	}
	switch {
	case g.Topic != "":
		return append(args, "--topic", g.Topic)
	case g.Group != "":
		return append(args, "--group", g.Group)
	case g.TransactionalID != "":
		return append(args, "--transactional-id", g.TransactionalID, "--resource-pattern-type", "prefixed")
	default:
		return append(args, "--cluster")
	}
}

// accessScript writes the whole list; a grant that is there already stays as it is.
func accessScript(grants []Grant) string {
	var script strings.Builder
	script.WriteString("set -eu\n")
	// The tool reads its credentials from a file only. The folder is the pod's own and goes with it.
	script.WriteString(`printf '%s\n' "$CLIENT_PROPERTIES" > /tmp/client.properties` + "\n")
	for _, g := range grants {
		script.WriteString(`/opt/kafka/bin/kafka-acls.sh --bootstrap-server "$BOOTSTRAP_SERVERS"` +
			" --command-config /tmp/client.properties")
		for _, argument := range g.arguments() {
			fmt.Fprintf(&script, " '%s'", argument)
		}
		script.WriteString("\n")
	}
	return script.String()
}

// AccessPods is the Job as an end of a call.
func AccessPods(namespace string) netpol.Peer {
	return netpol.Peer{Name: AccessName, Namespace: namespace, Labels: label.Selector(AccessName)}
}

// AccessArgs describes the Job that writes the access list.
type AccessArgs struct {
	Namespace        *namespace.Namespace
	Image            string
	BootstrapServers string
	Grants           []Grant
}

// Access is the written access list: what depends on it may do what it says.
type Access struct {
	pulumi.ResourceState
}

// NewAccess makes the Job.
func NewAccess(ctx *pulumi.Context, name string, args *AccessArgs, opts ...pulumi.ResourceOption) (*Access, error) {
	a := &Access{}
	if err := ctx.RegisterComponentResource("shopstream:kafka:Access", name, a, opts...); err != nil {
		return nil, fmt.Errorf("registering access list: %w", err)
	}
	script := accessScript(args.Grants)
	sum := fnv.New32a()
	fmt.Fprintln(sum, args.Image, args.BootstrapServers, script)
	jobName := fmt.Sprintf("%s-%08x", AccessName, sum.Sum32())
	tmp := map[string]string{"tmp": "/tmp", "logs": "/opt/kafka/logs"}

	_, err := batchv1.NewJob(ctx, AccessName, &batchv1.JobArgs{
		Metadata: label.Meta(jobName, args.Namespace.Ref, label.Standard(AccessName, "job")),
		Spec: &batchv1.JobSpecArgs{
			BackoffLimit:          pulumi.Int(6),
			ActiveDeadlineSeconds: pulumi.Int(600),
			Template: &corev1.PodTemplateSpecArgs{
				Metadata: &metav1.ObjectMetaArgs{Labels: pulumi.ToStringMap(label.Standard(AccessName, "job"))},
				Spec: &corev1.PodSpecArgs{
					RestartPolicy:                pulumi.String("OnFailure"),
					EnableServiceLinks:           pulumi.Bool(false),
					AutomountServiceAccountToken: pulumi.Bool(false),
					SecurityContext:              pod.Security(user),
					Volumes:                      append(pod.Scratch(tmp), pod.SecretVolume(certificateVolume, CertificateSecret)),
					Containers: corev1.ContainerArray{corev1.ContainerArgs{
						Name:            pulumi.String("kafka-acls"),
						Image:           pulumi.String(args.Image),
						ImagePullPolicy: pulumi.String("IfNotPresent"),
						Command:         pulumi.ToStringArray([]string{"bash", "-c", script}),
						Env: pod.EnvVars([]pod.Env{
							pod.Value("BOOTSTRAP_SERVERS", args.BootstrapServers),
							pod.Value("KAFKA_HEAP_OPTS", "-Xmx128m"),
							pod.Secret("PASSWORD", CredentialsSecret, Admin),
							pod.Value("CLIENT_PROPERTIES", adminProperties()),
						}),
						Resources:       AccessResources().Requirements(),
						SecurityContext: pod.ContainerSecurity(),
						VolumeMounts:    append(pod.Mounts(tmp), pod.ReadOnlyMount(certificateVolume, certificateFolder)),
					}},
				},
			},
		},
	}, pulumi.Parent(a))
	if err != nil {
		return nil, fmt.Errorf("creating job %q: %w", jobName, err)
	}
	return a, ctx.RegisterResourceOutputs(a, pulumi.Map{})
}

func adminProperties() string {
	return strings.Join([]string{
		"security.protocol=SASL_SSL",
		"sasl.mechanism=PLAIN",
		`sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="` + Admin +
			`" password="$(PASSWORD)";`,
		"ssl.truststore.type=PEM",
		"ssl.truststore.location=" + AuthorityFile,
	}, "\n")
}

// AccessResources covers one of Kafka's command line tools, each of which is a JVM.
func AccessResources() pod.Resources {
	return pod.Resources{
		CPU: resource.MustParse("50m"), CPULimit: resource.MustParse("1"), Memory: resource.MustParse("320Mi"),
	}
}
