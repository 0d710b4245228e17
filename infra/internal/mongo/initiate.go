package mongo

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
	"shopstream/infra/internal/pod"
	"shopstream/infra/internal/secret"
)

// initiate runs the script that initiates the replica set and creates the users. The Job's name contains a digest of
// what it does, so a changed number of members is a new Job, and so is a changed password, by its checksum.
func (d *Database) initiate(ctx *pulumi.Context, set pulumi.Resource) error {
	hosts := d.args.hosts()
	// Only the first member: the replica set can't be addressed before it exists.
	address := fmt.Sprintf("mongodb://%s:$(ROOT_PASSWORD)@%s/admin?authSource=admin&directConnection=true",
		rootUser, hosts[0])
	env := []pod.Env{
		pod.Value("HOME", "/tmp"),
		pod.Value("MEMBERS", strings.Join(hosts, ",")),
		pod.Value("REPLICA_SET", replicaSet),
		pod.Value("APP_USER", AppUser),
		pod.Value("APP_DATABASE", d.args.Database),
		pod.Secret("APP_PASSWORD", adminSecret, appKey),
		pod.Secret("ROOT_PASSWORD", adminSecret, passwordKey),
		pod.Value("ADDRESS", address),
	}
	env = append(env, pod.Value("BACKUP_USER", backupUser))
	if d.args.Backup != nil {
		env = append(env,
			pod.Value("SCRATCH_DATABASE", d.args.scratchDatabase()),
			pod.Secret("BACKUP_PASSWORD", adminSecret, backupKey),
		)
	}
	digest := fnv.New32a()
	fmt.Fprintln(digest, d.args.Image, hosts, d.args.Database, initiateScript, d.args.Backup != nil)
	name := fmt.Sprintf("%s-%08x", InitiateName, digest.Sum32())

	_, err := batchv1.NewJob(ctx, InitiateName, &batchv1.JobArgs{
		Metadata: label.Meta(name, d.args.Namespace.Ref, label.Standard(InitiateName, "job")),
		Spec: &batchv1.JobSpecArgs{
			BackoffLimit:          pulumi.Int(10),
			ActiveDeadlineSeconds: pulumi.Int(600),
			Template: &corev1.PodTemplateSpecArgs{
				Metadata: &metav1.ObjectMetaArgs{
					Labels:      pulumi.ToStringMap(label.Standard(InitiateName, "job")),
					Annotations: pulumi.StringMap{secret.ChecksumAnnotation: secret.Checksum(d.admin)},
				},
				Spec: &corev1.PodSpecArgs{
					RestartPolicy:                pulumi.String("OnFailure"),
					EnableServiceLinks:           pulumi.Bool(false),
					AutomountServiceAccountToken: pulumi.Bool(false),
					SecurityContext:              pod.Security(user),
					Volumes:                      pod.Scratch(map[string]string{"tmp": "/tmp"}),
					Containers: corev1.ContainerArray{corev1.ContainerArgs{
						Name:            pulumi.String("mongosh"),
						Image:           pulumi.String(d.args.Image),
						ImagePullPolicy: pulumi.String("IfNotPresent"),
						Command: pulumi.ToStringArray([]string{
							"bash", "-c", `exec mongosh --quiet --norc "$ADDRESS" --eval "$SCRIPT"`,
						}),
						Env:             pod.EnvVars(append(env, pod.Value("SCRIPT", initiateScript))),
						Resources:       InitiateResources().Requirements(),
						SecurityContext: pod.ContainerSecurity(),
						VolumeMounts:    pod.Mounts(map[string]string{"tmp": "/tmp"}),
					}},
				},
			},
		},
	}, pulumi.Parent(d), pulumi.DependsOn([]pulumi.Resource{set}))
	if err != nil {
		return fmt.Errorf("creating job %q: %w", name, err)
	}
	return nil
}

// InitiateResources covers mongosh, which is a JavaScript runtime.
func InitiateResources() pod.Resources {
	return pod.Resources{
		CPU: resource.MustParse("50m"), CPULimit: resource.MustParse("1"), Memory: resource.MustParse("256Mi"),
	}
}
