package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optrefresh"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// unlock takes away the lock of a run that was killed, and of no other. Only a backend that is a folder has locks that
// tell who made them.
func (p *platform) unlock(ctx context.Context, stack *auto.Stack, b backend) error {
	folder, ok := strings.CutPrefix(b.url, "file://")
	if !ok {
		return nil
	}
	locks, err := filepath.Glob(filepath.Join(folder, ".pulumi", "locks", "organization", "shopstream", p.stack, "*.json"))
	if err != nil || len(locks) == 0 {
		return err
	}
	content, err := os.ReadFile(locks[0])
	if err != nil {
		return fmt.Errorf("reading the lock of stack %s: %w", p.stack, err)
	}
	var lock struct {
		Pid      int
		Hostname string
	}
	if err := json.Unmarshal(content, &lock); err != nil {
		return fmt.Errorf("reading the lock %s: %w", locks[0], err)
	}
	if host, _ := os.Hostname(); lock.Hostname != host || isAlive(lock.Pid) {
		return fmt.Errorf("another run is at work on stack %s (process %d on %s). Wait for it; if it is no longer there, run: %s",
			p.stack, lock.Pid, lock.Hostname, p.byHand("cancel"))
	}
	p.say("The last run (process %d) was killed and left its lock behind: taking it away.", lock.Pid)
	if err := p.pulumi(ctx, stack, "cancel", "--yes"); err != nil {
		return fmt.Errorf("the lock %s can't be taken away: remove the file: %w", locks[0], err)
	}
	return nil
}

func isAlive(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	if err = process.Signal(syscall.Signal(0)); err != nil {
		return errors.Is(err, os.ErrPermission)
	}
	// A container whose first process waits for nobody keeps the dead, as zombies.
	state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(state), ") Z ")
}

// pulumi runs a command that the Automation API has no method for.
func (p *platform) pulumi(ctx context.Context, stack *auto.Stack, arguments ...string) error {
	ws := stack.Workspace()
	var env []string
	for name, value := range ws.GetEnvVars() {
		env = append(env, name+"="+value)
	}
	_, stderr, _, err := ws.PulumiCommand().Run(ctx, ws.WorkDir(), nil, nil, nil, env, append(arguments, "--stack", p.stack)...)
	if err != nil {
		return fmt.Errorf("pulumi %s: %w: %s", arguments[0], err, strings.TrimSpace(stderr))
	}
	return nil
}

// written is what the last run has written down.
func written(ctx context.Context, stack *auto.Stack) (apitype.DeploymentV3, error) {
	var deployment apitype.DeploymentV3
	export, err := stack.Export(ctx)
	if err != nil {
		return deployment, err
	}
	if len(export.Deployment) > 0 {
		err = json.Unmarshal(export.Deployment, &deployment)
	}
	if err != nil {
		err = fmt.Errorf("reading the state: %w", err)
	}
	return deployment, err
}

// repair makes an interrupted run one that can be run again. Helm refuses a release that somebody seems to be working
// on, or that pulumi doesn't know of because it was killed before it could write it down. Without Helm's record of it
// the release is installed again, over what is there already.
func (p *platform) repair(ctx context.Context, stack *auto.Stack) error {
	state, err := written(ctx, stack)
	if err != nil {
		return err
	}
	known, pending := map[string]bool{}, map[string]bool{}
	for _, resource := range state.Resources {
		if resource.Type.Name() == "Release" {
			known[resource.URN.Name()] = true
		}
	}
	for _, operation := range state.PendingOperations {
		pending[operation.Resource.URN.Name()] = true
	}
	namespaces, err := p.kube.namespaces(ctx)
	if err != nil {
		return err
	}
	if len(state.Resources) == 0 && len(pending) == 0 && len(namespaces) > 0 {
		return fmt.Errorf("the cluster at the context %q has a platform (namespaces %s) of which the state of stack %s knows nothing, so nothing was changed: "+
			"use the backend that it was brought up with, or another cluster; where that state is lost for good, delete these namespaces first",
			p.kube.context, strings.Join(namespaces, ", "), p.stack)
	}
	releases, err := p.kube.rows(ctx, []string{".metadata.namespace", ".metadata.name", ".metadata.labels.name", ".metadata.labels.status"},
		"secrets", "-A", "-l", "owner=helm")
	if err != nil {
		return err
	}
	for _, row := range releases {
		namespace, secret, release, status := row[0], row[1], row[2], row[3]
		halfway := strings.HasPrefix(status, "pending-") || status == "uninstalling"
		if !slices.Contains(namespaces, namespace) || !halfway && (known[release] || !pending[release]) {
			continue
		}
		p.say("The release %s was left halfway (%s): installing it again, over what is there.", release, status)
		if _, err := p.kube.run(ctx, "-n", namespace, "delete", "secret", secret); err != nil {
			return err
		}
	}
	if len(pending) == 0 {
		return nil
	}
	p.say("The last run was cut off: comparing what it has left with what it has written down.")
	if _, err := stack.Refresh(ctx, optrefresh.ClearPendingCreates()); err != nil {
		return fmt.Errorf("comparing the state with the cluster: %w", err)
	}
	return nil
}

// releaseScalers lets scalers go whose operator is no longer there to do it: they would hold up their namespace for ever.
func (p *platform) releaseScalers(ctx context.Context) error {
	if _, err := p.kube.run(ctx, "get", "crd", "scaledobjects.keda.sh"); err != nil {
		return nil // nor are there scalers
	}
	ready, err := p.kube.run(ctx, "get", "deployments", "-A", "-l", "app.kubernetes.io/name=keda-operator", "-o", "jsonpath={.items[*].status.readyReplicas}")
	if err != nil || strings.TrimSpace(ready) != "" {
		return err
	}
	scalers, err := p.kube.run(ctx, "-n", shop, "get", "scaledobjects.keda.sh", "-o", "name")
	if err != nil {
		return err
	}
	for _, scaler := range strings.Fields(scalers) {
		p.say("KEDA is gone and %s still waits for it: letting it go.", scaler)
		if _, err := p.kube.run(ctx, "-n", shop, "patch", scaler, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`); err != nil {
			return err
		}
	}
	return nil
}
