package mongo

import (
	"fmt"
	"strconv"

	batchv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/batch/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/label"
	"shopstream/infra/internal/netpol"
	"shopstream/infra/internal/pod"
	"shopstream/infra/internal/secret"
	"shopstream/infra/internal/volume"
)

// The CronJobs of the dumps, and their program.
const (
	BackupProgram = "backup"          // name of its image and its container
	BackupName    = "mongodb-backup"  // dumps; also the name of all three's pods
	DrillName     = "mongodb-drill"   // restores the newest dump and compares it
	RestoreName   = "mongodb-restore" // suspended: the template for the Jobs of `make restore`

	// BackupVolume is the volume claim of the dumps.
	BackupVolume = "mongodb-backups"

	backupUser   = "backup"
	backupKey    = "backup-password"
	bucketSecret = "mongodb-backup-bucket"
	dumpsFolder  = "/dumps"
)

// BackupArgs describes the dumps of the purchases.
type BackupArgs struct {
	Image     string
	User      int
	LogLevel  string
	Resources pod.Resources

	Schedule, Drill string
	Keep            int

	// StorageClass and StorageSize describe the volume of the dumps, unless a bucket is used.
	StorageClass string
	StorageSize  resource.Quantity
	Bucket       *Bucket

	// Password is that of the database user that dumps.
	Password secret.Value

	// Options are additional options of the workloads that run the image.
	Options []pulumi.ResourceOption
}

// Bucket is an S3-compatible object store.
type Bucket struct {
	Name, Endpoint, Region, Prefix string
	AccessKey, SecretKey           secret.Value
}

// BackupPods are all pods that make, test and restore dumps, as one end of a call.
func BackupPods(namespace string) netpol.Peer {
	return netpol.Peer{Name: BackupName, Namespace: namespace, Labels: label.Selector(BackupName)}
}

// scratchDatabase is the database that a drill restores into.
func (args DatabaseArgs) scratchDatabase() string { return args.Database + "_drill" }

// backup declares the place for the dumps and the CronJobs.
func (d *Database) backup(ctx *pulumi.Context) error {
	b := d.args.Backup
	if b == nil {
		return nil
	}
	if err := d.dumps(ctx); err != nil {
		return err
	}
	for _, job := range []cronJob{
		{name: BackupName, schedule: b.Schedule, command: "dump", user: backupUser, key: backupKey, writes: true},
		{name: DrillName, schedule: b.Drill, command: "drill", user: backupUser, key: backupKey},
		// A restore may write to any database.
		{name: RestoreName, schedule: b.Schedule, suspended: true, command: "list", user: rootUser, key: passwordKey},
	} {
		_, err := batchv1.NewCronJob(ctx, job.name, &batchv1.CronJobArgs{
			Metadata: label.Meta(job.name, d.args.Namespace.Ref, label.Standard(BackupName, "job")),
			Spec:     d.args.cronJob(job),
		}, append([]pulumi.ResourceOption{pulumi.Parent(d)}, b.Options...)...)
		if err != nil {
			return fmt.Errorf("creating cron job %q: %w", job.name, err)
		}
	}
	return nil
}

// dumps declares the volume claim, or the Secret with the bucket's keys. Like the database's volumes, the dumps are kept
// together with the namespace.
func (d *Database) dumps(ctx *pulumi.Context) error {
	b := d.args.Backup
	if b.Bucket != nil {
		_, err := secret.New(ctx, bucketSecret, label.Meta(bucketSecret, d.args.Namespace.Ref, label.Standard(BackupName, "credentials")),
			map[string]secret.Value{"access-key": b.Bucket.AccessKey, "secret-key": b.Bucket.SecretKey}, pulumi.Parent(d))
		return err
	}
	meta := label.Meta(BackupVolume, d.args.Namespace.Ref, label.Standard(BackupName, "volume"))
	return volume.NewClaim(ctx, BackupVolume, meta, b.StorageClass, b.StorageSize, d.args.Namespace, pulumi.Parent(d))
}

// cronJob is what differs between the three.
type cronJob struct {
	name, schedule string
	suspended      bool
	command        string
	user, key      string
	writes         bool // whether it writes dumps
}

// deadline is the time limit of a Job, with all its attempts. The program gives up before.
const deadline = 4 * 60 * 60

func (args DatabaseArgs) cronJob(job cronJob) *batchv1.CronJobSpecArgs {
	spec := &corev1.PodSpecArgs{
		RestartPolicy:                pulumi.String("Never"), // a pod for each attempt, so that its log is kept
		EnableServiceLinks:           pulumi.Bool(false),
		AutomountServiceAccountToken: pulumi.Bool(false),
		SecurityContext:              pod.Security(args.Backup.User),
		Volumes:                      corev1.VolumeArray{},
	}
	mounts := corev1.VolumeMountArray{}
	if args.Backup.Bucket == nil {
		spec.Volumes = corev1.VolumeArray{corev1.VolumeArgs{
			Name: pulumi.String("dumps"),
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSourceArgs{
				ClaimName: pulumi.String(BackupVolume),
			},
		}}
		mounts = corev1.VolumeMountArray{corev1.VolumeMountArgs{
			Name: pulumi.String("dumps"), MountPath: pulumi.String(dumpsFolder), ReadOnly: pulumi.Bool(!job.writes),
		}}
	}
	spec.Containers = corev1.ContainerArray{corev1.ContainerArgs{
		Name:            pulumi.String(BackupProgram),
		Image:           pulumi.String(args.Backup.Image),
		ImagePullPolicy: pulumi.String("IfNotPresent"),
		Args:            pulumi.ToStringArray([]string{job.command}),
		Env:             pod.EnvVars(args.backupEnvironment(job)),
		Resources:       args.Backup.Resources.Requirements(),
		SecurityContext: pod.ContainerSecurity(),
		VolumeMounts:    mounts,
	}}
	return &batchv1.CronJobSpecArgs{
		Schedule:                   pulumi.String(job.schedule),
		TimeZone:                   pulumi.String("Etc/UTC"),
		Suspend:                    pulumi.Bool(job.suspended),
		ConcurrencyPolicy:          pulumi.String("Forbid"),
		StartingDeadlineSeconds:    pulumi.Int(deadline),
		SuccessfulJobsHistoryLimit: pulumi.Int(1),
		FailedJobsHistoryLimit:     pulumi.Int(2),
		JobTemplate: &batchv1.JobTemplateSpecArgs{
			Spec: &batchv1.JobSpecArgs{
				BackoffLimit:          pulumi.Int(2),
				ActiveDeadlineSeconds: pulumi.Int(deadline),
				Template: &corev1.PodTemplateSpecArgs{
					Metadata: &metav1.ObjectMetaArgs{Labels: pulumi.ToStringMap(label.Standard(BackupName, "job"))},
					Spec:     spec,
				},
			},
		},
	}
}

func (args DatabaseArgs) backupEnvironment(job cronJob) []pod.Env {
	b := args.Backup
	env := []pod.Env{
		pod.Value("LOG_LEVEL", b.LogLevel),
		// Go collects garbage before the container's limit is reached.
		pod.Value("GOMEMLIMIT", fmt.Sprintf("%dMiB", b.Resources.Memory.Value()*3/4>>20)),
	}
	env = append(env, args.connection(job.user, adminSecret, job.key)...)
	env = append(env,
		pod.Value("MONGO_DATABASE", args.Database),
		pod.Value("SCRATCH_DATABASE", args.scratchDatabase()),
		pod.Value("BACKUP_KEEP", strconv.Itoa(b.Keep)),
	)
	if b.Bucket == nil {
		return append(env, pod.Value("BACKUP_FOLDER", dumpsFolder))
	}
	return append(env,
		pod.Value("S3_ENDPOINT", b.Bucket.Endpoint),
		pod.Value("S3_BUCKET", b.Bucket.Name),
		pod.Value("S3_REGION", b.Bucket.Region),
		pod.Value("S3_PREFIX", b.Bucket.Prefix),
		pod.Secret("S3_ACCESS_KEY", bucketSecret, "access-key"),
		pod.Secret("S3_SECRET_KEY", bucketSecret, "secret-key"),
	)
}
