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

// drainPatience is longer than a drain takes: its Job has a time limit that follows from how much there is to move.
const drainPatience = 400 * 24 * time.Hour

// drainFirst returns the options of the brokers' StatefulSet that have brokers emptied before there are fewer of them.
// Without a hook there is nothing to change. What the hook compares is the StatefulSet itself and not the settings of the
// last up, which are written down before anything is done: so an up that was cut off in between goes on with the drain.
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

// replicas is how many pods a StatefulSet is declared to have.
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
		Namespace: plan.AppNamespace, CronJob: kafka.AdminName, Name: kafka.DrainName, Arguments: []string{kafka.DrainCommand}, Patience: drainPatience,
	})
	if err != nil {
		return fmt.Errorf("no broker was removed, since %s could not be emptied; the next up goes on with it: %w\n%s", going, err, lastLines(log, 5))
	}
	return nil
}

func lastLines(text string, count int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(len(lines)-count, 0):], "\n")
}

// kubectlRun runs a CronJob once, in place of the Job of that name that an earlier run has left.
func kubectlRun(kubeContext string, run job.Job) (string, error) {
	ctx := context.Background()
	if _, err := kubectl(ctx, kubeContext, "", "-n", run.Namespace, "delete", "job", run.Name, "--ignore-not-found"); err != nil {
		return "", fmt.Errorf("removing the Job %s of an earlier run: %w", run.Name, err)
	}
	return run.Run(ctx, func(ctx context.Context, stdin string, arguments ...string) (string, error) {
		return kubectl(ctx, kubeContext, stdin, arguments...)
	})
}
