package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// installHints says for each tool how to get it.
func installHints() map[string]string {
	if runtime.GOOS == "darwin" {
		return map[string]string{
			"docker":   "brew install --cask docker, then start Docker",
			"minikube": "brew install minikube",
			"pulumi":   "brew install pulumi/tap/pulumi",
			"kubectl":  "brew install kubectl",
			"go":       "brew install go",
		}
	}
	return map[string]string{
		"docker":   "https://docs.docker.com/engine/install",
		"minikube": "https://minikube.sigs.k8s.io/docs/start",
		"pulumi":   "curl -fsSL https://get.pulumi.com | sh",
		"kubectl":  "https://kubernetes.io/docs/tasks/tools",
		"go":       "https://go.dev/dl",
	}
}

func installed(tool string) bool {
	_, err := exec.LookPath(tool)
	return err == nil
}

// need lists all the tools that are missing at once, and how to install them.
func need(tools ...string) error {
	var missing strings.Builder
	for _, tool := range tools {
		if !installed(tool) {
			fmt.Fprintf(&missing, "\n  %s: %s", tool, installHints()[tool])
		}
	}
	if missing.Len() > 0 {
		return fmt.Errorf("these tools are missing; install them and run this again:%s", missing.String())
	}
	return nil
}

// output runs a command and returns what it prints. The error holds what the command says of it.
func output(ctx context.Context, name string, arguments ...string) (string, error) {
	return outputOf(exec.CommandContext(ctx, name, arguments...))
}

func outputOf(command *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		said := strings.TrimSpace(stderr.String())
		if said == "" {
			said = strings.TrimSpace(stdout.String())
		}
		return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(command.Args, " "), err, said)
	}
	return stdout.String(), nil
}

// path is a file of the repository.
func (p *platform) path(elements ...string) string {
	return filepath.Join(append([]string{p.root}, elements...)...)
}

func (p *platform) absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return p.path(path)
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
