package platform

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/refuse"
)

// settingsName is the name in the stack's state of the settings that it was last brought up with.
const settingsName = "settings"

// rememberSettings writes the settings down in the stack's state, and stops a change of them that would harm, in a
// preview as in an up. What comes after the resource that it returns is not touched then.
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
			return ctx.Log.Info("Nothing is written down of an up with this stack, so this preview can't tell whether a change of its "+
				"settings would harm what is there.", nil)
		})
		if err != nil {
			return nil, fmt.Errorf("registering the hook that says what is not known: %w", err)
		}
		opts = append(opts, pulumi.ResourceHooks(&pulumi.ResourceHookBinding{
			BeforeCreate: []*pulumi.ResourceHook{first}, BeforeUpdate: []*pulumi.ResourceHook{refusing},
		}))
	}
	settings, err := pulumi.NewStash(ctx, settingsName, &pulumi.StashArgs{Input: pulumi.String(text)}, opts...)
	if err != nil {
		return nil, fmt.Errorf("writing down the settings: %w", err)
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
	err = errors.Join(refuse.Changes(was, is, p.config.Accept), p.checkExpandable(ctx, refuse.Growths(was, is)), p.checkCompatible(ctx, was, is))
	if err != nil {
		return fmt.Errorf("refused, and nothing was changed:\n%w", err)
	}
	return nil
}
