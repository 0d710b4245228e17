// Command infra declares the whole platform: pulumi runs it for preview, up and destroy.
package main

import (
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/platform"
)

func main() {
	pulumi.Run(func(ctx *pulumi.Context) error {
		settings, err := config.FromPulumi(os.Getenv(pulumi.EnvConfig))
		if err != nil {
			return err
		}
		return platform.Program(platform.ThisMachine(), settings)(ctx)
	})
}
