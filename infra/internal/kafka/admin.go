package kafka

import (
	"fmt"
	"slices"
	"time"

	batchv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/batch/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/label"
	"shopstream/infra/internal/pod"
)

const (
	// AdminName is the suspended CronJob from which an up creates Jobs when it needs them: DrainName before brokers are removed,
	// and FeaturesName before brokers get an older image.
	AdminName    = "kafka-admin"
	DrainName    = "kafka-drain"
	FeaturesName = "kafka-features"

	// FinalizeName is the prefix of the names of the Jobs that finalize an upgrade.
	FinalizeName = "kafka-finalize"
)

// DrainCommand and FeaturesCommand are what the Jobs run.
const (
	DrainCommand    = "drain"
	FeaturesCommand = "features"
	finalizeCommand = "finalize"
)

// NewAdmin declares the CronJob, which is suspended and never starts by itself.
func NewAdmin(ctx *pulumi.Context, args *TopicsArgs, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	env, err := args.Environment()
	if err != nil {
		return nil, err
	}
	job, err := batchv1.NewCronJob(ctx, AdminName, &batchv1.CronJobArgs{
		Metadata: label.Meta(AdminName, args.Namespace.Ref, label.Standard(TopicsName, jobComponent)),
		Spec: &batchv1.CronJobSpecArgs{
			Schedule: pulumi.String("0 0 1 1 *"),
			Suspend:  pulumi.Bool(true),
			JobTemplate: &batchv1.JobTemplateSpecArgs{
				// A Job that is made from it has these labels, by which make status finds it.
				Metadata: &metav1.ObjectMetaArgs{Labels: pulumi.ToStringMap(label.Standard(TopicsName, jobComponent))},
				Spec: &batchv1.JobSpecArgs{
					BackoffLimit:          pulumi.Int(2),
					ActiveDeadlineSeconds: pulumi.Int(int(args.Moving.deadline().Seconds())),
					Template:              args.template(jobComponent, env, FeaturesCommand),
				},
			},
		},
	}, slices.Concat(opts, args.Options)...)
	if err != nil {
		return nil, fmt.Errorf("creating cron job %q: %w", AdminName, err)
	}
	return job, nil
}

// Finalize says when the cluster's features are finalized at what all brokers support.
type Finalize struct {
	// Image is the brokers' image. Another one may support more features.
	Image string

	// After is how long all brokers must have run it.
	After time.Duration
}

// finalize declares the Job that waits and then finalizes the features. The up doesn't wait for it.
func (t *Topics) finalize(ctx *pulumi.Context, args *TopicsArgs, env []pod.Env, after pulumi.Resource) error {
	if args.Finalize == nil {
		return nil
	}
	env = append(env, pod.Value("FINALIZE_AFTER", args.Finalize.After.String()))
	name := FinalizeName + "-" + digest(args.Finalize.Image+args.Image, env)
	meta := label.Meta(name, args.Namespace.Ref, label.Standard(TopicsName, finalizeComponent))
	meta.Annotations = pulumi.StringMap{"pulumi.com/skipAwait": pulumi.String("true")}
	_, err := batchv1.NewJob(ctx, FinalizeName, &batchv1.JobArgs{
		Metadata: meta,
		Spec: &batchv1.JobSpecArgs{
			BackoffLimit: pulumi.Int(6),
			Template:     args.template(finalizeComponent, env, finalizeCommand),
		},
	}, slices.Concat([]pulumi.ResourceOption{pulumi.Parent(t), pulumi.DependsOn([]pulumi.Resource{after})}, args.Options)...)
	if err != nil {
		return fmt.Errorf("creating job %q: %w", name, err)
	}
	return nil
}
