// Command infra declares the whole platform: pulumi runs it for preview, up and destroy. Called with "render" it writes
// the same platform as plain Kubernetes manifests instead.
package main

import (
	"fmt"
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "render" {
		if err := runRender(os.Args[2:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "render:", err)
			os.Exit(1)
		}
		return
	}
	pulumi.Run(program(machine(os.Getenv(pulumi.EnvConfig))))
}
