package platform

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/job"
	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/plan"
)

// drainTimeout is longer than a drain takes. Its Job has a deadline that depends on how much there is to move.
const drainTimeout = 400 * 24 * time.Hour

// drainFirst returns the options of the brokers' StatefulSet with which brokers are drained before they are removed. Its hook
// compares the StatefulSet and not the recorded settings, which are written before anything else: so the up after an
// interrupted one continues the drain.
func (p platform) drainFirst(ctx *pulumi.Context, admin pulumi.Resource) ([]pulumi.ResourceOption, error) {
	opts := []pulumi.ResourceOption{pulumi.DependsOn([]pulumi.Resource{admin})}
	if p.host.hook == nil {
		return opts, nil
	}
	hook, err := p.host.hook(ctx, "drain-brokers", func(args *pulumi.ResourceHookArgs) error {
		was, known := replicas(args.OldInputs)
		is, wanted := replicas(args.NewInputs)
		if !known || !wanted || is >= was {
			return nil
		}
		return p.drain(ctx, was, is)
	})
	if err != nil {
		return nil, fmt.Errorf("registering the hook that drains brokers: %w", err)
	}
	return append(opts, pulumi.ResourceHooks(&pulumi.ResourceHookBinding{BeforeUpdate: []*pulumi.ResourceHook{hook}})), nil
}

// replicas returns the declared number of pods of a StatefulSet.
func replicas(set resource.PropertyMap) (count int, known bool) {
	spec := set["spec"]
	if !spec.IsObject() || !spec.ObjectValue()["replicas"].IsNumber() {
		return 0, false
	}
	return int(spec.ObjectValue()["replicas"].NumberValue()), true
}

func (p platform) drain(ctx *pulumi.Context, was, is int) error {
	going := fmt.Sprintf("brokers %d to %d", is, was-1)
	if is == was-1 {
		going = fmt.Sprintf("broker %d", is)
	}
	if ctx.DryRun() {
		return ctx.Log.Info("An up moves everything from "+going+" to the others before it removes them.", nil)
	}
	if err := ctx.Log.Info(fmt.Sprintf("Moving everything from %s to the others: kubectl -n %s logs -f job/%s", going, plan.AppNamespace, kafka.DrainName), nil); err != nil {
		return fmt.Errorf("logging: %w", err)
	}
	log, err := p.host.run(p.config.Cluster.Context, job.Job{
		Namespace: plan.AppNamespace, CronJob: kafka.AdminName, Name: kafka.DrainName, Arguments: []string{kafka.DrainCommand}, Timeout: drainTimeout,
	})
	if err != nil {
		return fmt.Errorf("no broker was removed, since %s could not be drained; the next up continues: %w\n%s", going, err, lastLines(log, 5))
	}
	return nil
}

func lastLines(text string, count int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(len(lines)-count, 0):], "\n")
}

// kubectlRun runs a CronJob once. A Job of that name from an earlier run is deleted first.
func kubectlRun(kubeContext string, run job.Job) (string, error) {
	ctx := context.Background()
	if _, err := kubectl(ctx, kubeContext, "", "-n", run.Namespace, "delete", "job", run.Name, "--ignore-not-found"); err != nil {
		return "", fmt.Errorf("deleting the Job %s of an earlier run: %w", run.Name, err)
	}
	return run.Run(ctx, func(ctx context.Context, stdin string, arguments ...string) (string, error) {
		return kubectl(ctx, kubeContext, stdin, arguments...)
	})
}
