// Package addon installs third-party software that the platform needs, as Helm releases.
package addon

import (
	"fmt"
	"reflect"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// releaseType is the provider's Helm release. It is registered by its name and not through the provider's own Go
// package, which pulls sixty API groups into every build of this program.
const releaseType = "kubernetes:helm.sh/v3:Release"

type releaseArgs struct {
	Atomic         bool           `pulumi:"atomic"`
	Chart          string         `pulumi:"chart"`
	CleanupOnFail  bool           `pulumi:"cleanupOnFail"`
	Compat         string         `pulumi:"compat"`
	MaxHistory     int            `pulumi:"maxHistory"`
	Name           string         `pulumi:"name"`
	Namespace      string         `pulumi:"namespace"`
	RepositoryOpts map[string]any `pulumi:"repositoryOpts"`
	SkipCrds       bool           `pulumi:"skipCrds"`
	Timeout        int            `pulumi:"timeout"`
	Values         map[string]any `pulumi:"values"`
	Version        string         `pulumi:"version"`
}

// ReleaseArgs is the part of a release's properties that the platform sets.
type ReleaseArgs struct {
	Atomic         pulumi.BoolInput
	Chart          pulumi.StringInput
	CleanupOnFail  pulumi.BoolInput
	Compat         pulumi.StringInput
	MaxHistory     pulumi.IntInput
	Name           pulumi.StringInput
	Namespace      pulumi.StringInput
	RepositoryOpts pulumi.MapInput
	SkipCrds       pulumi.BoolInput
	Timeout        pulumi.IntInput
	Values         pulumi.MapInput
	Version        pulumi.StringInput
}

// ElementType is the plain form of the properties.
func (ReleaseArgs) ElementType() reflect.Type { return reflect.TypeFor[releaseArgs]() }

// Release is an installed chart.
type Release struct {
	pulumi.CustomResourceState
}

// NewRelease installs a chart.
func NewRelease(
	ctx *pulumi.Context, namespace pulumi.StringInput, chart Chart, opts ...pulumi.ResourceOption,
) (*Release, error) {
	release := &Release{}
	args := &ReleaseArgs{
		// A failed first install is rolled back, so that the next run can install again.
		Atomic:        pulumi.Bool(true),
		CleanupOnFail: pulumi.Bool(true),
		Chart:         pulumi.String(chart.location()),
		Compat:        pulumi.String("true"),
		MaxHistory:    pulumi.Int(5),
		Name:          pulumi.String(chart.Name),
		Namespace:     namespace,
		Timeout:       pulumi.Int(600),
		Values:        pulumi.ToMap(chart.Values),
		Version:       pulumi.String(chart.Version),
	}
	if chart.SkipCRDs {
		args.SkipCrds = pulumi.Bool(true)
	}
	if chart.Unknown {
		// The provider reads the chart even in a preview, and fails if it can't, unless one of its properties is unknown.
		args.Version = pulumi.UnsafeUnknownOutput(nil).ApplyT(func(any) string { return "" }).(pulumi.StringOutput)
	}
	if chart.Repository != "" && !chart.InRegistry() {
		args.RepositoryOpts = pulumi.Map{"repo": pulumi.String(chart.Repository)}
	}
	if err := ctx.RegisterResource(releaseType, chart.Name, args, release, opts...); err != nil {
		return nil, fmt.Errorf("installing chart %q: %w", chart.Name, err)
	}
	return release, nil
}

// Unlock removes the lock of a release whose operation was interrupted.
type Unlock func(namespace, release string) error

// UnlockFirst removes the lock of each release before it is installed or upgraded. Helm refuses a release with an
// unfinished operation, which a killed run leaves behind. A nil unlock does nothing.
func UnlockFirst(ctx *pulumi.Context, unlock Unlock) ([]pulumi.ResourceOption, error) {
	if unlock == nil {
		return nil, nil
	}
	hook, err := ctx.RegisterResourceHook("unlock-release", func(release *pulumi.ResourceHookArgs) error {
		return unlock(release.NewInputs["namespace"].StringValue(), release.Name)
		// If unlocking fails, Helm's own error explains what is wrong.
	}, &pulumi.ResourceHookOptions{IgnoreErrors: true})
	if err != nil {
		return nil, fmt.Errorf("registering the hook that unlocks releases: %w", err)
	}
	before := []*pulumi.ResourceHook{hook}
	return []pulumi.ResourceOption{
		pulumi.ResourceHooks(&pulumi.ResourceHookBinding{BeforeCreate: before, BeforeUpdate: before}),
	}, nil
}
