package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"time"

	"shopstream/infra/internal/config"
)

// needCluster returns an error, and what to do, unless a cluster answers.
func (p *platform) needCluster(ctx context.Context) error {
	if err := need("kubectl"); err != nil {
		return err
	}
	if p.kube.context == "" {
		return fmt.Errorf("kubectl has no current context: set cluster.context in Pulumi.%s.yaml, or run kubectl config use-context", p.stack)
	}
	if !p.kube.answers(ctx) {
		return fmt.Errorf("no cluster answers at the context %q. Run make up, or see kubectl --context %s cluster-info", p.kube.context, p.kube.context)
	}
	return nil
}

// onMinikube reports whether the context is that of a minikube profile, which has the same name.
func (p *platform) onMinikube(ctx context.Context) bool {
	if p.kube.context == "minikube" {
		return true
	}
	if !installed("minikube") {
		return false
	}
	text, _ := output(ctx, "minikube", "profile", "list", "-o", "json")
	var profiles struct{ Valid, Invalid []struct{ Name string } }
	if json.Unmarshal([]byte(text), &profiles) != nil {
		return false
	}
	return slices.ContainsFunc(append(profiles.Valid, profiles.Invalid...), func(q struct{ Name string }) bool { return q.Name == p.kube.context })
}

// startCluster starts minikube if the stack's context is minikube's and no cluster answers. Other clusters must be running.
func (p *platform) startCluster(ctx context.Context) error {
	if p.kube.answers(ctx) {
		return nil
	}
	if !p.onMinikube(ctx) {
		return fmt.Errorf("no cluster answers at the context %q: see kubectl --context %q cluster-info. Only minikube is started by make up", p.kube.context, p.kube.context)
	}
	// minikube takes whole CPUs, and knows no unit Gi or Mi; its m is the same as Mi.
	cpus, memory := strconv.FormatInt(p.config.Cluster.NodeCPU.Value(), 10), fmt.Sprintf("%dm", p.config.Cluster.NodeMemory.Value()>>20)
	p.step("Starting minikube with %s CPUs, %s of memory, Kubernetes %s, and a network that enforces policies", cpus, p.config.Cluster.NodeMemory.String(), config.KubernetesVersion)
	start := exec.CommandContext(ctx, "minikube", "start", "--profile="+p.kube.context, "--cni=calico", "--cpus="+cpus,
		"--memory="+memory, "--kubernetes-version="+config.KubernetesVersion)
	start.Stdout, start.Stderr = p.out, os.Stderr
	if err := start.Run(); err != nil {
		return fmt.Errorf("starting minikube: %w. With too little memory: make up STACK=small. With an older minikube of that name: minikube delete -p %s", err, p.kube.context)
	}
	if !within(ctx, 30*time.Second, p.kube.answers) {
		return fmt.Errorf("minikube has started, but no API server answers at the context %q: see minikube status -p %s", p.kube.context, p.kube.context)
	}
	_, err := p.kube.run(ctx, "wait", "--for=condition=Ready", "nodes", "--all", "--timeout=300s")
	return err
}

// checkVersion refuses a cluster that is too old, and warns of one that is newer than the tested versions.
func (p *platform) checkVersion(ctx context.Context) error {
	text, err := p.kube.run(ctx, "version", "-o", "json")
	if err != nil {
		return err
	}
	var versions struct{ ServerVersion struct{ GitVersion string } }
	if err := json.Unmarshal([]byte(text), &versions); err != nil {
		return fmt.Errorf("reading the output of kubectl version: %w", err)
	}
	warning, err := config.CheckKubernetes(versions.ServerVersion.GitVersion, p.config.Cluster)
	if err != nil && p.onMinikube(ctx) {
		err = fmt.Errorf("%w. To recreate minikube with %s, and lose what is in it: minikube delete -p %s && make up STACK=%s",
			err, config.KubernetesVersion, p.kube.context, p.stack)
	}
	if warning != "" {
		p.warn("%s", warning)
	}
	return err
}

var enforcers = regexp.MustCompile(`calico|canal|cilium|anetd|antrea|kube-router|weave|ovn`)

// checkNetwork warns if no network plugin runs that is known to enforce network policies. Only make e2e can verify it.
func (p *platform) checkNetwork(ctx context.Context) {
	if text, _ := p.kube.run(ctx, "get", "daemonsets", "-A", "-o", "name"); enforcers.MatchString(text) {
		return
	}
	p.warn("no network plugin that is known to enforce network policies runs on %q. The platform works without, but any pod may call any other; make e2e finds out.", p.kube.context)
	if p.onMinikube(ctx) {
		p.say("         To recreate minikube with one that does: minikube delete -p %s && make up", p.kube.context)
	}
}
