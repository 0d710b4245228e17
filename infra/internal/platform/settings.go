package platform

import (
	"errors"
	"fmt"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/job"
	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/plan"
	"shopstream/infra/internal/refuse"
)

// settingsName is the name, in the stack's state, of the settings of the last up.
const settingsName = "settings"

// Refused is in the error of an up whose settings are refused.
const Refused = "refused, and nothing was changed"

// rememberSettings records the settings in the stack's state, and refuses a harmful change of them, in a preview as in an
// up. Resources that depend on the returned one are then not changed.
func (p platform) rememberSettings(ctx *pulumi.Context) (pulumi.Resource, error) {
	text, err := refuse.Of(p.config).Text()
	if err != nil {
		return nil, err
	}
	var opts []pulumi.ResourceOption
	if p.host.hook != nil {
		refusing, err := p.host.hook(ctx, "refuse-changes", func(args *pulumi.ResourceHookArgs) error {
			return p.refuseChanges(ctx, args.OldInputs, args.NewInputs)
		})
		if err != nil {
			return nil, fmt.Errorf("registering the hook that refuses changes: %w", err)
		}
		first, err := p.host.hook(ctx, "first-settings", func(*pulumi.ResourceHookArgs) error {
			if !ctx.DryRun() {
				return nil
			}
			return ctx.Log.Info("No settings of an earlier up are recorded, so this preview can't tell whether a change of the "+
				"settings would be harmful.", nil)
		})
		if err != nil {
			return nil, fmt.Errorf("registering the hook that reports missing settings: %w", err)
		}
		opts = append(opts, pulumi.ResourceHooks(&pulumi.ResourceHookBinding{
			BeforeCreate: []*pulumi.ResourceHook{first}, BeforeUpdate: []*pulumi.ResourceHook{refusing},
		}))
	}
	settings, err := pulumi.NewStash(ctx, settingsName, &pulumi.StashArgs{Input: pulumi.String(text)}, opts...)
	if err != nil {
		return nil, fmt.Errorf("encoding the settings: %w", err)
	}
	return settings, nil
}

func (p platform) refuseChanges(ctx *pulumi.Context, old, new resource.PropertyMap) error {
	before, now := old["input"], new["input"]
	if !before.IsString() || !now.IsString() {
		return nil
	}
	was, err := refuse.Parse(before.StringValue())
	if err != nil {
		return err
	}
	is, err := refuse.Parse(now.StringValue())
	if err != nil {
		return err
	}
	err = errors.Join(refuse.Changes(was, is, p.config.Accept), p.checkExpandable(ctx, refuse.Growths(was, is)), p.checkCompatible(ctx, was, is), p.checkFeatures(ctx, was, is))
	if err != nil {
		return fmt.Errorf(Refused+":\n%w", err)
	}
	return nil
}

// checkFeatures refuses an older Kafka that would not start. Only an up asks the brokers, with a Job.
func (p platform) checkFeatures(ctx *pulumi.Context, was, is refuse.Settings) error {
	if !refuse.OlderKafka(was, is, p.config.Accept) {
		return nil
	}
	if ctx.DryRun() {
		return ctx.Log.Warn("This preview can't tell whether the older Kafka would start: an up checks the cluster's finalized features first.", nil)
	}
	features, err := p.host.run(p.config.Cluster.Context, job.Job{
		Namespace: plan.AppNamespace, CronJob: kafka.AdminName, Name: kafka.FeaturesName, Arguments: []string{kafka.FeaturesCommand}, Timeout: 5 * time.Minute,
	})
	if err != nil {
		return refuse.Unknown(was, is, err)
	}
	return refuse.Unstartable(was, is, features)
}
