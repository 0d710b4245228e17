package platform

import (
	"context"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/mongo"
	"shopstream/infra/internal/plan"
	"shopstream/infra/internal/refuse"
)

// checkCompatible refuses another major version of MongoDB if that can't open the data. A preview without a cluster continues
// and says what it could not check.
func (p platform) checkCompatible(ctx *pulumi.Context, before, now refuse.Settings) error {
	if !refuse.NeedsCompatibility(before, now) {
		return nil
	}
	version, err := p.host.compatibility(p.config.Cluster.Context)
	if err != nil && ctx.DryRun() {
		return ctx.Log.Warn(fmt.Sprintf("The database doesn't answer, so this preview can't tell whether %s can open its data: %v", now.Mongo.Image, err), nil)
	}
	if err != nil {
		return fmt.Errorf("checking whether %s can open the data: %w", now.Mongo.Image, err)
	}
	return refuse.Compatibility(before, now, version)
}

// kubectlCompatibility asks the first member of the database for its featureCompatibilityVersion.
func kubectlCompatibility(kubeContext string) (string, error) {
	const ask = `HOME=/tmp exec mongosh --quiet --norc -u "$MONGO_INITDB_ROOT_USERNAME" -p "$MONGO_INITDB_ROOT_PASSWORD" --authenticationDatabase admin ` +
		`--eval 'print(db.adminCommand({getParameter: 1, featureCompatibilityVersion: 1}).featureCompatibilityVersion.version)'`
	output, err := kubectl(context.Background(), kubeContext, "",
		"--namespace", plan.DataNamespace, "exec", mongo.Name+"-0", "--container", mongo.Name, "--", "bash", "-c", ask)
	if err != nil {
		return "", fmt.Errorf("asking the database for its featureCompatibilityVersion: %w", err)
	}
	return strings.TrimSpace(output), nil
}
