package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optrefresh"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/plan"
)

// unlock removes the lock of a killed run, and no other. Only in a backend that is a folder do locks name the
// process. Two runs that begin at the same moment leave one each.
func (p *platform) unlock(ctx context.Context, stack *auto.Stack, b backend) error {
	folder, ok := strings.CutPrefix(b.url, "file://")
	if !ok {
		return nil
	}
	locks, err := filepath.Glob(filepath.Join(folder, ".pulumi", "locks", "organization", config.Project, p.stack, "*.json"))
	if err != nil {
		return err
	}
	var killed []string // the locks of killed runs: pulumi cancel removes all locks at once
	for _, file := range locks {
		content, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // that run has just ended
		}
		if err != nil {
			return fmt.Errorf("reading the lock of stack %s: %w", p.stack, err)
		}
		var lock struct {
			Pid      int
			Hostname string
		}
		if err := json.Unmarshal(content, &lock); err != nil {
			return fmt.Errorf("reading the lock %s: %w", file, err)
		}
		if host, _ := os.Hostname(); lock.Hostname != host || isAlive(lock.Pid) {
			return p.lockedBy(fmt.Sprintf("process %d on %s", lock.Pid, lock.Hostname))
		}
		p.say("The last run (process %d) was killed and has left its lock: removing it.", lock.Pid)
		killed = append(killed, file)
	}
	if len(killed) == 0 {
		return nil
	}
	if err := p.pulumi(ctx, stack, io.Discard, "cancel", "--yes"); err != nil {
		return fmt.Errorf("removing the lock failed; remove %s: %w", strings.Join(killed, ", "), err)
	}
	return nil
}

func (p *platform) lockedBy(who string) error {
	return fmt.Errorf("stack %s is locked by another run (%s). Wait for it; if it is no longer there, run: %s", p.stack, who, p.byHand("cancel"))
}

func isAlive(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	if err = process.Signal(syscall.Signal(0)); err != nil {
		return errors.Is(err, os.ErrPermission)
	}
	// A container whose first process doesn't reap its children keeps ended ones as zombies.
	state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(state), ") Z ")
}

// repair makes it possible to run up again after an interruption, and returns the present state. Helm refuses a release
// whose last operation never finished, and one that pulumi doesn't know because it was killed before it could record it.
// Without Helm's record, the release is installed again, over the objects that exist.
func (p *platform) repair(ctx context.Context, stack *auto.Stack) (apitype.DeploymentV3, error) {
	state, err := exported(ctx, stack)
	if err != nil {
		return state, err
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
	stacks, err := p.kube.namespaces(ctx)
	if err != nil {
		return state, err
	}
	namespaces := p.own(stacks)
	if len(state.Resources) == 0 && len(pending) == 0 {
		if err := p.checkFirst(stacks, namespaces); err != nil {
			return state, err
		}
	}
	releases, err := p.kube.rows(ctx, []string{".metadata.namespace", ".metadata.name", ".metadata.labels.name", ".metadata.labels.status"},
		"secrets", "-A", "-l", "owner=helm")
	if err != nil {
		return state, err
	}
	for _, row := range releases {
		namespace, secret, release, status := row[0], row[1], row[2], row[3]
		unfinished := strings.HasPrefix(status, "pending-") || status == "uninstalling"
		if !slices.Contains(namespaces, namespace) || !unfinished && (known[release] || !pending[release]) {
			continue
		}
		p.say("Release %s was not finished (%s): installing it again, over what exists.", release, status)
		if _, err := p.kube.run(ctx, "-n", namespace, "delete", "secret", secret); err != nil {
			return state, err
		}
	}
	if len(pending) == 0 {
		return state, nil
	}
	p.say("The last run was interrupted: comparing its state with the cluster.")
	if _, err := stack.Refresh(ctx, optrefresh.ClearPendingCreates()); err != nil {
		return state, fmt.Errorf("comparing the state with the cluster: %w", err)
	}
	return state, nil
}

// checkFirst refuses the first up of a stack on a cluster that already has a platform, by the namespaces of all stacks and
// this one's own.
func (p *platform) checkFirst(stacks map[string]string, own []string) error {
	switch {
	case len(own) > 0:
		return fmt.Errorf("the cluster at the context %q already has a shopstream (namespaces %s), which is missing from the state of stack %s, so nothing was changed: "+
			"use the backend that it was created with, or another cluster; if that state is lost, delete these namespaces first",
			p.kube.context, strings.Join(own, ", "), p.stack)
	case len(stacks) > 0:
		return fmt.Errorf("the cluster at the context %q already has another stack (namespaces %s of %s), so nothing was changed: "+
			"take that stack down first, or use another cluster", p.kube.context, strings.Join(slices.Sorted(maps.Keys(stacks)), ", "),
			strings.Join(slices.Compact(slices.Sorted(maps.Values(stacks))), ", "))
	}
	return nil
}

// releaseScalers removes the finalizers of ScaledObjects if KEDA is no longer there to do it: otherwise their namespace could
// never be deleted.
func (p *platform) releaseScalers(ctx context.Context) error {
	crd, err := p.kube.run(ctx, "get", "crd", "scaledobjects.keda.sh", "--ignore-not-found", "-o", "name")
	if err != nil || crd == "" {
		return err // without the CRD there are none
	}
	ready, err := p.kube.run(ctx, "get", "deployments", "-A", "-l", "app.kubernetes.io/name=keda-operator", "-o", "jsonpath={.items[*].status.readyReplicas}")
	if err != nil || strings.TrimSpace(ready) != "" {
		return err
	}
	scalers, err := p.kube.run(ctx, "-n", plan.AppNamespace, "get", "scaledobjects.keda.sh", "-o", "name")
	if err != nil {
		return err
	}
	for _, scaler := range strings.Fields(scalers) {
		p.say("KEDA is gone, and %s waits for it: removing its finalizer.", scaler)
		if _, err := p.kube.run(ctx, "-n", plan.AppNamespace, "patch", scaler, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`); err != nil {
			return err
		}
	}
	return nil
}
