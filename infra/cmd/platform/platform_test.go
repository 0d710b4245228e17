package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"shopstream/infra/internal/config"
)

// machine has fake tools only: shell scripts that do what the files in the folder fake say, and log their arguments.
type machine struct {
	t    *testing.T
	root string // the repository, with its stacks
	bin  string // the only folder on the PATH
	fake string
}

var fakeTools = map[string]string{
	"go":     `printf '{"Dir":"%s","Version":"v1.6.1"}' "$fake/gateway-api"`,
	"docker": `[ -e "$fake/docker" ]`,
	"minikube": `
case "$1 $2" in
  "profile list") cat "$fake/profiles"; exit ;;
esac
echo "minikube $*" >>"$fake/log"
: >"$fake/cluster"`,
	"pulumi": `
[ "$1" != --non-interactive ] || shift
if [ "$1" = version ]; then echo v3.250.0; exit; fi
echo "pulumi $*" >>"$fake/log"
echo "$PULUMI_BACKEND_URL $PULUMI_CONFIG_PASSPHRASE" >"$fake/backend"
cp Pulumi.yaml "$fake/project"
for file in Pulumi.*.yaml; do cp "$file" "$fake/stack"; done
case "$1 $2" in
  "stack export") cat "$fake/state" ;;
  "stack output") if [ -e "$fake/outputs-$(grep -c 'pulumi up' "$fake/log")" ]; then cat "$fake/outputs-$(grep -c 'pulumi up' "$fake/log")"; else echo '{}'; fi ;;
  "stack history") echo '[]' ;;
esac
case "$1" in preview | up) cat "$fake/progress" ;; esac
if [ "$1" = up ]; then
  if [ -e "$fake/state-after" ]; then cp "$fake/state-after" "$fake/state"; fi
fi
if [ -e "$fake/pulumi-$1" ]; then cat "$fake/pulumi-$1" >&2; exit 1; fi`,
	"kubectl": `
case "$*" in *"current-context"*) echo current; exit ;; esac
[ -e "$fake/cluster" ] || exit 1
case "$*" in
  *" delete "* | *" patch "*) echo "kubectl $*" >>"$fake/log" ;;
  *" version -o json"*) printf '{"serverVersion":{"gitVersion":"%s"}}' "$(cat "$fake/version")" ;;
  *"get daemonsets"*) cat "$fake/daemonsets" ;;
  *"get namespaces -l"*) cat "$fake/namespaces" ;;
  *"secrets -A"*) cat "$fake/releases" ;;
  *"crd,"*) cat "$fake/cluster-wide" ;;
  *"persistentvolumes"*) cat "$fake/volumes" ;;
  *"get crd scaledobjects.keda.sh"*) cat "$fake/keda-crd" ;;
  *"get scaledobjects.keda.sh -o name"*) cat "$fake/scalers" ;;
  *" create job "*)
    echo "kubectl $*" >>"$fake/log"
    [ -e "$fake/cronjob" ] || { echo 'cronjobs.batch "mongodb-backup" not found' >&2; exit 1; }
    cat "$fake/cronjob" ;;
  *" create -f -"*) cat >"$fake/created" ;;
  *" get job "*) cat "$fake/job" ;;
  *" get cronjobs "*) cat "$fake/cronjobs" ;;
  *" logs -l batch.kubernetes.io/job-name="*) cat "$fake/job-log" ;;
  *"get secret kafka-certificate"*) cat "$fake/certificate" ;;
  *" get jobs "*) cat "$fake/jobs" ;;
  *" get pods -l app.kubernetes.io/component=job"*) cat "$fake/movers" ;;
  *" logs "*"--tail=1") cat "$fake/said" ;;
  *" pods"*) cat "$fake/pods" ;;
  *" deployments") cat "$fake/deployments" ;;
  *"horizontalpodautoscalers"*) cat "$fake/autoscalers" ;;
  *"port-forward"*)
    echo "$*" >>"$fake/forwards"
    if [ -e "$fake/pod-is-replaced" ]; then echo "Forwarding from 127.0.0.1:1234 -> 80"; exit 1; fi
    if [ -e "$fake/forward-to" ]; then echo "Forwarding from $(cat "$fake/forward-to") -> 80"; exec sleep 60; fi
    cat "$fake/forward" >&2
    exit 1 ;;
  *" service -l"*) cat "$fake/controller" ;;
  *"scaledobjects.keda.sh"*) cat "$fake/scaledobjects" ;;
  *" logs "*-known) cat "$fake/known" ;;
  *" logs "*) cat "$fake/stranger" ;;
  *"statefulset kafka"*) echo apache/kafka:4 ;;
  *" customresourcedefinitions") cat "$fake/kinds" ;;
  *" get gateways"*) cat "$fake/routes" ;;
  *" apply "*) cat >>"$fake/applied" ;;
esac`,
}

// newMachine has all tools installed, and a cluster that answers.
func newMachine(t *testing.T) *machine {
	t.Helper()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal("these tests need a POSIX shell")
	}
	m := &machine{t: t, root: t.TempDir(), bin: t.TempDir(), fake: t.TempDir()}
	for tool, script := range fakeTools {
		content := fmt.Sprintf("#!%s\nfake='%s'\n%s\n", shell, m.fake, script)
		if err := os.WriteFile(filepath.Join(m.bin, tool), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, tool := range []string{"cat", "cp", "grep", "sleep"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(m.bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", m.bin)
	for _, name := range []string{"Pulumi.yaml", "Pulumi.dev.yaml", "Pulumi.small.yaml", "Pulumi.prod.yaml"} {
		content, err := os.ReadFile(filepath.Join("../../..", name))
		if err != nil {
			t.Fatal(err)
		}
		m.write(filepath.Join(m.root, name), string(content))
	}
	for _, name := range []string{"docker", "cluster", "namespaces", "releases", "cluster-wide", "volumes", "keda-crd", "scalers", "pods", "forward", "controller", "kinds", "routes", "scaledobjects", "profiles", "autoscalers", "progress", "log", "jobs", "movers", "said"} {
		m.set(name, "")
	}
	m.set("daemonsets", "daemonset.apps/calico-node")
	m.set("version", config.KubernetesVersion)
	m.set("gateway-api/config/crd/standard/gateways.yaml",
		"kind: CustomResourceDefinition\nmetadata:\n  name: gateways.gateway.networking.k8s.io\n  annotations: {gateway.networking.k8s.io/bundle-version: v1.6.1}\n")
	m.set("gateway-api/config/crd/standard/policy.yaml", "kind: ValidatingAdmissionPolicy\n")
	m.set("state", `{"version":3,"deployment":{}}`)
	return m
}

func (m *machine) write(path, content string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// set sets the output of a fake tool.
func (m *machine) set(name, content string) {
	m.t.Helper()
	m.write(filepath.Join(m.fake, name), content)
}

func (m *machine) unset(name string) { _ = os.Remove(filepath.Join(m.fake, name)) }

func (m *machine) read(name string) string {
	content, _ := os.ReadFile(filepath.Join(m.fake, name))
	return string(content)
}

// outcome is what a command printed and did.
type outcome struct {
	*machine
	printed string
	err     error
}

// platform runs a command with NAME=VALUE… as its environment.
func (m *machine) platform(command string, environment ...string) outcome {
	m.t.Helper()
	return m.within(m.t.Context(), command, environment...)
}

// within runs it until ctx ends.
func (m *machine) within(ctx context.Context, command string, environment ...string) outcome {
	m.t.Helper()
	m.set("log", "")
	var out bytes.Buffer
	getenv := func(name string) string {
		for _, pair := range environment {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				return value
			}
		}
		return ""
	}
	p := &platform{root: m.root, getenv: getenv, out: &out}
	err := p.run(ctx, strings.Fields(command))
	printed := out.String()
	if err != nil {
		printed += "ERROR: " + err.Error()
	}
	return outcome{m, printed, err}
}

func (o outcome) succeeds() outcome {
	o.t.Helper()
	if o.err != nil {
		o.t.Errorf("it fails: %s", o.printed)
	}
	return o
}

func (o outcome) fails() outcome {
	o.t.Helper()
	if o.err == nil {
		o.t.Errorf("it does not fail: %s", o.printed)
	}
	return o
}

func (o outcome) says(texts ...string) outcome {
	o.t.Helper()
	for _, text := range texts {
		if !strings.Contains(o.printed, text) {
			o.t.Errorf("it does not say %q, but:\n%s", text, o.printed)
		}
	}
	return o
}

func (o outcome) doesNotSay(text string) outcome {
	o.t.Helper()
	if strings.Contains(o.printed, text) {
		o.t.Errorf("it says %q:\n%s", text, o.printed)
	}
	return o
}

func (o outcome) did(calls ...string) outcome {
	o.t.Helper()
	for _, call := range calls {
		if !strings.Contains(o.read("log"), call) {
			o.t.Errorf("it did not run %q, but:\n%s", call, o.read("log"))
		}
	}
	return o
}

func (o outcome) didNot(calls ...string) outcome {
	o.t.Helper()
	for _, call := range calls {
		if strings.Contains(o.read("log"), call) {
			o.t.Errorf("it ran %q:\n%s", call, o.read("log"))
		}
	}
	return o
}
