// Command infra declares the whole platform: pulumi runs it for preview, up and destroy. Called with "render" it writes
// the same platform as plain Kubernetes manifests instead.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/manifest"
	"shopstream/infra/internal/platform"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "render" {
		if err := render(os.Args[2:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "render:", err)
			os.Exit(1)
		}
		return
	}
	pulumi.Run(func(ctx *pulumi.Context) error {
		settings, err := config.FromPulumi(os.Getenv(pulumi.EnvConfig))
		if err != nil {
			return err
		}
		return platform.Program(platform.ThisMachine(), settings)(ctx)
	})
}

// render writes the manifests of a stack. It needs neither pulumi nor a cluster nor Docker.
func render(arguments []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("render", flag.ContinueOnError)
	flags.SetOutput(stdout)
	stack := flags.String("stack", "dev", "the `name` of the stack whose Pulumi.<name>.yaml is read")
	root := flags.String("root", "..", "the `folder` with Pulumi.yaml")
	out := flags.String("out", "", "the `folder` to write to; it must be empty or not exist")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *out == "" {
		return errors.New("name the folder to write to: -out FOLDER")
	}
	settings, err := config.ReadStackFile(filepath.Join(*root, "Pulumi."+*stack+".yaml"))
	if err != nil {
		return err
	}
	written, err := manifest.Render(platform.Program(platform.ForManifests(), settings), manifest.Stack{
		Project: config.Project, Name: *stack, Preview: true, Root: *root,
	}, *out)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "wrote %d manifests of stack %q to %s\n", written, *stack, *out)
	return nil
}
