package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"shopstream/infra/internal/config"
)

// ours selects the objects that the program makes.
const ours = "app.kubernetes.io/part-of=shopstream,app.kubernetes.io/managed-by=pulumi"

// kubectl calls the cluster of one kubeconfig context. It is a program of its own and not client-go, whose API packages
// would add minutes to the first build for a dozen questions.
type kubectl struct{ context string }

// findCluster returns the stack's context, else the current one; empty where there is none.
func findCluster(ctx context.Context, context string) (kubectl, error) {
	if context == "" && installed("kubectl") {
		current, err := output(ctx, "kubectl", "config", "current-context")
		if err == nil {
			context = strings.TrimSpace(current)
		}
	}
	return kubectl{context}, ctx.Err()
}

func (k kubectl) command(ctx context.Context, arguments ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "kubectl", append([]string{"--context", k.context}, arguments...)...)
}

func (k kubectl) run(ctx context.Context, arguments ...string) (string, error) {
	return outputOf(k.command(ctx, arguments...))
}

// get decodes what kubectl get prints as JSON.
func (k kubectl) get(ctx context.Context, into any, arguments ...string) error {
	text, err := k.run(ctx, append([]string{"get", "-o", "json"}, arguments...)...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("reading what kubectl get %s printed: %w", strings.Join(arguments, " "), err)
	}
	return nil
}

// rows gets the columns of a list, each a path of kubectl's custom columns; a missing value is "<none>".
func (k kubectl) rows(ctx context.Context, columns []string, arguments ...string) ([][]string, error) {
	var named []string
	for i, column := range columns {
		named = append(named, fmt.Sprintf("C%d:%s", i, column))
	}
	text, err := k.run(ctx, append([]string{"get", "--no-headers", "-o", "custom-columns=" + strings.Join(named, ",")}, arguments...)...)
	var rows [][]string
	for line := range strings.Lines(text) {
		if row := strings.Fields(line); len(row) == len(columns) {
			rows = append(rows, row)
		}
	}
	return rows, err
}

func (k kubectl) answers(ctx context.Context) bool {
	if k.context == "" || !installed("kubectl") {
		return false
	}
	_, err := k.run(ctx, "--request-timeout=10s", "get", "--raw", "/readyz")
	return err == nil
}

// namespaces lists those that the program has made on this cluster.
func (k kubectl) namespaces(ctx context.Context) ([]string, error) {
	text, err := k.run(ctx, "get", "namespaces", "-l", ours, "-o", `jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}`)
	return strings.Fields(text), err
}

// needCluster says what to do where no cluster answers.
func (p *platform) needCluster(ctx context.Context) error {
	if err := need("kubectl"); err != nil {
		return err
	}
	if p.kube.context == "" {
		return fmt.Errorf("no cluster is named: set cluster.context in Pulumi.%s.yaml, or choose one with kubectl config use-context", p.stack)
	}
	if !p.kube.answers(ctx) {
		return fmt.Errorf("no cluster answers at the context %q. Run make up, or see kubectl --context %s cluster-info", p.kube.context, p.kube.context)
	}
	return nil
}

// onMinikube says whether the context is a profile of minikube, whose name it then has.
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

// startCluster starts minikube where the stack stands on it and nothing answers. Every other cluster is the user's to
// start.
func (p *platform) startCluster(ctx context.Context) error {
	if p.kube.answers(ctx) {
		return nil
	}
	if !p.onMinikube(ctx) {
		return fmt.Errorf("no cluster answers at the context %q: see kubectl --context %q cluster-info. Only minikube is started here", p.kube.context, p.kube.context)
	}
	cpus, memory := p.config.Cluster.NodeCPU.String(), p.config.Cluster.NodeMemory.String()
	p.step("Starting minikube with %s CPUs, %s of memory, Kubernetes %s, and a network that enforces policies", cpus, memory, config.KubernetesVersion)
	start := exec.CommandContext(ctx, "minikube", "start", "--profile="+p.kube.context, "--cni=calico", "--cpus="+cpus,
		"--memory="+strings.Replace(memory, "Gi", "g", 1), "--kubernetes-version="+config.KubernetesVersion)
	start.Stdout, start.Stderr = p.out, os.Stderr
	if err := start.Run(); err != nil {
		return fmt.Errorf("minikube did not start: %w. Where there is less memory: make up STACK=small. Where an old one is in the way: minikube delete -p %s", err, p.kube.context)
	}
	if !within(ctx, 30*time.Second, p.kube.answers) {
		return fmt.Errorf("minikube has started, and the context %q does not answer: see minikube status -p %s", p.kube.context, p.kube.context)
	}
	_, err := p.kube.run(ctx, "wait", "--for=condition=Ready", "nodes", "--all", "--timeout=300s")
	return err
}

// checkVersion refuses a cluster that is too old, and warns of one that is newer than any that was tested.
func (p *platform) checkVersion(ctx context.Context) error {
	text, err := p.kube.run(ctx, "version", "-o", "json")
	if err != nil {
		return err
	}
	var versions struct{ ServerVersion struct{ GitVersion string } }
	if err := json.Unmarshal([]byte(text), &versions); err != nil {
		return fmt.Errorf("reading what kubectl version printed: %w", err)
	}
	warning, err := config.CheckKubernetes(versions.ServerVersion.GitVersion, p.config.Cluster)
	if err != nil && p.onMinikube(ctx) {
		err = fmt.Errorf("%w. To start minikube anew with %s, without what is in it: minikube delete -p %s && make up STACK=%s",
			err, config.KubernetesVersion, p.kube.context, p.stack)
	}
	if warning != "" {
		p.warn("%s", warning)
	}
	return err
}

var enforcers = regexp.MustCompile(`calico|canal|cilium|anetd|antrea|kube-router|weave|ovn`)

// checkNetwork warns where nothing known to enforce network policies runs. Only make e2e can prove that it is so.
func (p *platform) checkNetwork(ctx context.Context) {
	if text, _ := p.kube.run(ctx, "get", "daemonsets", "-A", "-o", "name"); enforcers.MatchString(text) {
		return
	}
	p.warn("nothing that is known to enforce network policies runs on %q. The platform works, and who may call whom may be open; make e2e finds out.", p.kube.context)
	if p.onMinikube(ctx) {
		p.say("         To start minikube anew with one that does: minikube delete -p %s && make up", p.kube.context)
	}
}

// within asks every second until ok says yes; false when the time is over.
func within(ctx context.Context, limit time.Duration, ok func(context.Context) bool) bool {
	over := time.After(limit)
	for {
		if ok(ctx) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-over:
			return false
		case <-time.After(time.Second):
		}
	}
}
