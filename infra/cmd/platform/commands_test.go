package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	program "shopstream/infra/internal/platform"
	"shopstream/infra/internal/secret"
)

func TestMissingToolsAreNamedAtOnce(t *testing.T) {
	m := newMachine(t)
	for tool := range fakeTools {
		if err := os.Remove(filepath.Join(m.bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	m.platform("up").fails().says("  go: ", "  pulumi: ", "  kubectl: ", "  docker: ", "  minikube: ")
}

func TestUnknownStackNamesThoseThatThereAre(t *testing.T) {
	newMachine(t).platform("up", "STACK=mine").fails().says("Set STACK to one of: dev prod small")
}

func TestUnknownArgumentsAreRefused(t *testing.T) {
	m := newMachine(t)
	for _, command := range []string{"up STACK=prod", "status dev", "go-up", "up --force"} {
		if o := m.platform(command).fails().didNot("pulumi"); !errors.Is(o.err, errUsage) {
			t.Errorf("%s: %v", command, o.err)
		}
	}
}

func TestUpNeedsADockerDaemon(t *testing.T) {
	m := newMachine(t)
	m.unset("docker")
	m.platform("up").fails().says("start Docker").didNot("pulumi up")
}

func TestUpStartsMinikubeInTheSizeOfTheProfile(t *testing.T) {
	m := newMachine(t)
	m.unset("cluster")
	m.platform("up", "STACK=small").succeeds().says("make e2e").
		did("minikube start --profile=minikube --cni=calico --cpus=2 --memory=4096m --kubernetes-version=v1.", "pulumi stack select --stack small", "pulumi up --yes --skip-preview")
}

func TestUpStartsMinikubeInUnitsThatItKnows(t *testing.T) {
	m := newMachine(t)
	m.unset("cluster")
	m.write(filepath.Join(m.root, "Pulumi.mine.yaml"), "config:\n  shopstream:cluster: {context: minikube, nodeCpu: 4500m, nodeMemory: 6500Mi}\n")
	m.platform("up", "STACK=mine").succeeds().did("--cpus=5 --memory=6500m")
}

func TestUpStartsMinikubeUnderTheNameOfTheContext(t *testing.T) {
	m := newMachine(t)
	m.unset("cluster")
	m.set("profiles", `{"invalid":[],"valid":[{"Name":"shop"}]}`)
	m.write(filepath.Join(m.root, "Pulumi.mine.yaml"), "config:\n  shopstream:cluster: {context: shop}\n")
	m.platform("up", "STACK=mine").succeeds().did("minikube start --profile=shop")
	m.unset("cluster")
	m.write(filepath.Join(m.root, "Pulumi.mine.yaml"), "config:\n  shopstream:cluster: {context: elsewhere}\n")
	m.platform("up", "STACK=mine").fails().says("Only minikube is started by make up").didNot("minikube start")
}

func TestUpLeavesAClusterAlone(t *testing.T) {
	newMachine(t).platform("up").succeeds().didNot("minikube start").doesNotSay("WARNING")
}

func TestUpWarnsOfANetworkThatIgnoresPolicies(t *testing.T) {
	m := newMachine(t)
	m.set("daemonsets", "daemonset.apps/kindnet")
	m.platform("up").succeeds().says("minikube delete -p minikube && make up")
}

func TestUpChecksTheVersionOfKubernetes(t *testing.T) {
	m := newMachine(t)
	m.set("version", "v1.31.0")
	m.platform("up").fails().says("1.33 to 1.35", "minikube delete -p minikube && make up STACK=dev").didNot("pulumi up")
	m.set("version", "v1.37.0")
	m.platform("up").succeeds().says("WARNING: the cluster has Kubernetes v1.37.0", "1.33 to 1.35").did("pulumi up")
}

func TestUpNamesAWrongPassphrase(t *testing.T) {
	m := newMachine(t)
	m.set("pulumi-stack", "error: incorrect passphrase")
	m.platform("up").fails().says("PULUMI_CONFIG_PASSPHRASE")
}

// TestRunsChangeNoFileOfTheRepository: pulumi works on a copy of the project.
func TestRunsChangeNoFileOfTheRepository(t *testing.T) {
	m := newMachine(t)
	m.write(filepath.Join(m.root, "Pulumi.dev.yaml"), "config:\n  shopstream:profile: default\n  shopstream:cluster: {context: minikube}\nencryptionsalt: v1:mine\n")
	before, err := os.ReadFile(filepath.Join(m.root, "Pulumi.dev.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m.platform("up").succeeds()
	if after, err := os.ReadFile(filepath.Join(m.root, "Pulumi.dev.yaml")); err != nil || string(after) != string(before) {
		t.Errorf("the stack's file is now %q: %v", after, err)
	}
	if project := m.read("project"); !strings.Contains(project, "main: "+filepath.Join(m.root, "infra")) {
		t.Errorf("pulumi runs the project\n%s", project)
	}
	if stack := m.read("stack"); strings.Contains(stack, "encryptionsalt") || !strings.Contains(stack, "minikube") {
		t.Errorf("the salt of a passphrase that make doesn't use is in its way:\n%s", stack)
	}
	if backend := m.read("backend"); backend != "file://"+m.root+"/.pulumi-state shopstream\n" {
		t.Errorf("the state is at %q", backend)
	}
	// If it contains secrets, the file belongs to that passphrase.
	m.write(filepath.Join(m.root, "Pulumi.dev.yaml"), "config:\n  shopstream:apiToken: {secure: v1:abc}\nencryptionsalt: v1:mine\n")
	m.platform("up").succeeds()
	if stack := m.read("stack"); !strings.Contains(stack, "v1:mine") || !strings.Contains(stack, "v1:abc") {
		t.Errorf("the secrets are gone:\n%s", stack)
	}
}

// TestStackFilesOfEveryStyle: flow style, quoted keys, single quotes, and a key of the same name elsewhere.
func TestStackFilesOfEveryStyle(t *testing.T) {
	for name, content := range map[string]string{
		"block":       "config:\n  shopstream:cluster:\n    context: minikube\n  shopstream:profile: small\n",
		"flow":        "config: {'shopstream:cluster': {context: minikube}, 'shopstream:profile': small}\n",
		"quoted keys": "\"config\":\n  \"shopstream:cluster\":\n    \"context\": \"minikube\"\n  'shopstream:profile': 'small'\n",
		"comments":    "config: # all\n  shopstream:cluster: # where\n    context: minikube # here\n  shopstream:profile: small # little\n",
		"other keys":  "config:\n  other:cluster:\n    context: elsewhere\n  shopstream:ingress:\n    annotations: {context: elsewhere}\n  shopstream:cluster: {context: minikube}\n  shopstream:profile: small\n",
		"a long text": "config:\n  shopstream:cluster:\n    context: >-\n      minikube\n  shopstream:profile: |-\n    small\n",
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.unset("cluster")
			m.write(filepath.Join(m.root, "Pulumi.mine.yaml"), content)
			m.platform("up", "STACK=mine").succeeds().did("minikube start --profile=minikube --cni=calico --cpus=2 --memory=4096m")
		})
	}
}

func TestConfigFaultsAreListedAllAtOnce(t *testing.T) {
	m := newMachine(t)
	m.write(filepath.Join(m.root, "Pulumi.mine.yaml"), "config:\n  shopstream:cluster: {contxt: a}\n  shopstream:kafka: {brokers: three}\n")
	m.platform("up", "STACK=mine").fails().says("cluster.contxt", "kafka.brokers").doesNotSay("again").didNot("pulumi")
	// Unreadable values, wrong values, and values that contradict each other.
	m.write(filepath.Join(m.root, "Pulumi.mine.yaml"), "config:\n  shopstream:cluster: {contxt: a}\n  shopstream:logLevel: loud\n  shopstream:addons: {kedaNamespace: shop}\n  shopstream:services: {consumer: {max: 99}}\n")
	for _, command := range []string{"up", "preview"} {
		m.platform(command, "STACK=mine").fails().says("cluster.contxt", "logLevel", "addons.kedaNamespace", "services.consumer.max").didNot("pulumi", "minikube")
	}
}

// lock leaves a run's lock. The greater the process id, the earlier its file is listed.
func lock(m *machine, pid int, host string) {
	m.write(filepath.Join(m.root, fmt.Sprintf(".pulumi-state/.pulumi/locks/organization/shopstream/dev/%010d.json", 1<<30-pid)),
		fmt.Sprintf(`{"pid":%d,"username":"me","hostname":%q,"timestamp":"2026-01-01T00:00:00Z"}`, pid, host))
}

func TestLocks(t *testing.T) {
	here, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	const nobody = 4194305 // greater than any process id
	t.Run("of a run that was killed", func(t *testing.T) {
		m := newMachine(t)
		lock(m, nobody, here)
		m.platform("up").succeeds().did("pulumi cancel --yes --stack dev")
	})
	t.Run("of a run that goes on", func(t *testing.T) {
		m := newMachine(t)
		lock(m, os.Getpid(), here)
		m.platform("up").fails().says("another run", "cancel").didNot("pulumi cancel", "pulumi up")
	})
	t.Run("of both", func(t *testing.T) {
		m := newMachine(t)
		lock(m, os.Getpid(), here)
		lock(m, nobody, here)
		m.platform("up").fails().says("another run").didNot("pulumi cancel", "pulumi up")
	})
	t.Run("of another machine", func(t *testing.T) {
		m := newMachine(t)
		lock(m, nobody, "elsewhere")
		m.platform("down").fails().didNot("pulumi cancel", "pulumi destroy")
	})
}

func TestUpRepairsWhatAnInterruptedRunHasLeft(t *testing.T) {
	m := newMachine(t)
	m.set("namespaces", "keda\nmonitoring\n")
	m.set("releases", `keda        secret-keda     keda            pending-install
monitoring  secret-prom     prometheus      deployed
monitoring  secret-metrics  metrics-server  deployed
monitoring  secret-mine     mine            deployed
elsewhere   secret-other    other           pending-install
`)
	m.set("state", `{"version":3,"deployment":{
  "resources":[{"urn":"urn:pulumi:dev::shopstream::kubernetes:helm.sh/v3:Release::metrics-server","type":"kubernetes:helm.sh/v3:Release"}],
  "pending_operations":[{"type":"creating","resource":{"urn":"urn:pulumi:dev::shopstream::kubernetes:helm.sh/v3:Release::prometheus","type":"kubernetes:helm.sh/v3:Release"}}]}}`)
	m.platform("up").succeeds().
		did("-n keda delete secret secret-keda", "-n monitoring delete secret secret-prom", "pulumi refresh --yes --skip-preview --clear-pending-creates").
		didNot("secret-metrics", "secret-mine", "secret-other")
}

// Such as one that a colleague has created under the same name, from another backend.
func TestUpLeavesAnUnknownPlatformAlone(t *testing.T) {
	m := newMachine(t)
	m.set("namespaces", "shop\nshop-data\n")
	m.platform("up").fails().says("namespaces shop, shop-data", "which is missing from the state of stack dev").didNot("pulumi up", "delete")
}

// Nothing of it is deleted, repaired or shown, even if it has the same namespaces.
func TestAnotherStackOnTheClusterIsLeftAlone(t *testing.T) {
	m := newMachine(t)
	m.set("namespaces", "keda\tshopstream/dev\nshop\tshopstream/dev\n")
	m.set("cluster-wide", "CustomResourceDefinition scaledobjects.keda.sh keda keda <none>\nClusterRole keda-operator keda keda <none>\n")
	m.set("keda-crd", "customresourcedefinition.apiextensions.k8s.io/scaledobjects.keda.sh")
	m.set("scalers", "scaledobject.keda.sh/consumer")
	m.set("releases", "keda secret-keda keda pending-upgrade\n")
	m.set("pods", "shop api-1 Running true 0\n")
	m.platform("up", "STACK=small").fails().says("another stack (namespaces keda, shop of shopstream/dev)", "nothing was changed").didNot("pulumi up", "delete")
	m.platform("status", "STACK=small").succeeds().says("stack small is not up").doesNotSay("api-1")
	m.platform("down", "STACK=small").succeeds().didNot("delete", "patch")
}

const withNamespace = `{"version":3,"deployment":{"resources":[{"urn":"urn:pulumi:dev::shopstream::kubernetes:core/v1:Namespace::shop","type":"kubernetes:core/v1:Namespace"}]}}`

func TestUpShowsWhatItDoes(t *testing.T) {
	m := newMachine(t)
	m.set("progress", " +  kubernetes:apps/v1:StatefulSet kafka created (45s)\n")
	m.set("namespaces", "shop")
	m.set("state", withNamespace)
	m.set("pods", "shop api-1 Running true 2\nshop topics-1 Succeeded false 0\nshop web-1 Pending <none> <none>\nelsewhere mine-1 Running true 0\n")
	m.platform("up").succeeds().says("StatefulSet kafka created (45s)", "shop       api-1     Running    yes    2", "topics-1  Succeeded  -", "web-1     Pending    NO").
		doesNotSay("mine-1")
}

func TestAFailedUpSaysWhetherAnythingWasChanged(t *testing.T) {
	m := newMachine(t)
	m.set("pulumi-up", "boom")
	m.platform("up").fails().says("up has changed nothing", "boom").doesNotSay("again")
	m.set("state-after", withNamespace)
	m.platform("up").fails().says("Run make up again", "boom")
	m.set("pulumi-up", "error: the stack is currently locked by 1 lock(s)")
	m.platform("up").fails().says("another run", "cancel")
}

// Pulumi prints the refusal among its progress, after it may have recorded images that were built.
func TestARefusedUpGivesNoAdviceToRunItAgain(t *testing.T) {
	m := newMachine(t)
	m.set("pulumi-up", "")
	m.set("progress", "Diagnostics:\n  error: "+program.Refused+":\n    kafka.storage: 2Gi → 1Gi: a volume can't shrink\n")
	m.set("state-after", withNamespace)
	m.platform("up").fails().says("a volume can't shrink", "up was refused, and the cluster is unchanged").doesNotSay("again")
}

func TestDownLeavesNothing(t *testing.T) {
	newMachine(t).platform("down").succeeds().did("pulumi destroy").says("no namespace, no volume").didNot("exclude-protected")
}

func TestDownRemovesWhatReleasesLeave(t *testing.T) {
	m := newMachine(t)
	m.set("keda-crd", "customresourcedefinition.apiextensions.k8s.io/scaledobjects.keda.sh")
	m.set("scalers", "scaledobject.keda.sh/consumer")
	m.set("cluster-wide", "ClusterRole keda-operator keda keda <none>\nClusterRole mine mine elsewhere <none>\n")
	m.set("namespaces", "keda\tshopstream/dev\nshop\n")
	m.platform("down").did("-n shop patch scaledobject.keda.sh/consumer", "delete ClusterRole keda-operator").didNot("delete ClusterRole mine")
	m.unset("keda-crd")
	m.platform("down").fails().says("get crd scaledobjects.keda.sh").didNot("pulumi destroy")
	m.set("keda-crd", "")
	// Of one that the stack's file doesn't ask for any more.
	m.set("state", withReleases("traefik/traefik"))
	m.set("cluster-wide", "ClusterRole traefik traefik traefik <none>\nClusterRole another traefik another <none>\n")
	m.platform("down").did("delete ClusterRole traefik").didNot("delete ClusterRole another")
}

// withReleases is a state that has these releases, each as namespace/name.
func withReleases(releases ...string) string {
	var resources []string
	for _, release := range releases {
		namespace, name, _ := strings.Cut(release, "/")
		resources = append(resources, fmt.Sprintf(`{"urn":"urn:pulumi:dev::shopstream::kubernetes:helm.sh/v3:Release::%s","type":"kubernetes:helm.sh/v3:Release","inputs":{"namespace":%q,"name":%q}}`,
			name, namespace, name))
	}
	return `{"version":3,"deployment":{"resources":[` + strings.Join(resources, ",") + `]}}`
}

func TestUpRemovesWhatAReplacedReleaseLeaves(t *testing.T) {
	m := newMachine(t)
	m.set("namespaces", "shop\n")
	m.set("state", withReleases("traefik/traefik", "keda/keda"))
	m.set("state-after", withReleases("ingress-nginx/ingress-nginx", "keda/keda"))
	m.set("cluster-wide", "ClusterRole traefik traefik traefik <none>\nRole traefik traefik traefik shop\nRole traefik traefik traefik traefik\n"+
		"ClusterRole keda-operator keda keda <none>\nClusterRole theirs traefik elsewhere <none>\n")
	m.set("kinds", kind("v1.6.1", "shopstream/dev"))
	m.platform("up").succeeds().
		did("delete ClusterRole traefik --", "delete Role traefik --wait=false --ignore-not-found -n shop", "delete customresourcedefinitions --wait=false "+gateways).
		didNot("-n traefik", "keda-operator", "theirs")
	// With nothing replaced, nothing is removed.
	m.set("kinds", "")
	m.platform("up").succeeds().didNot("delete")
}

func TestDownSaysWhatIsLeft(t *testing.T) {
	m := newMachine(t)
	m.set("namespaces", "shop")
	m.set("volumes", "shop pv-1 data-kafka-0")
	m.platform("down").fails().says("this is still there: shop pv-1")
}

// The namespaces are gone already, since an earlier down was interrupted while it waited.
func TestASecondDownStillSaysWhatIsLeft(t *testing.T) {
	m := newMachine(t)
	m.set("volumes", "shop-data pv-1 data-kafka-0\nelsewhere pv-2 theirs\n")
	m.platform("down").fails().says("this is still there: pv-1 (shop-data/data-kafka-0)").doesNotSay("pv-2")
}

func TestKeptVolumes(t *testing.T) {
	m := newMachine(t)
	m.set("state", `{"version":3,"deployment":{"resources":[{"urn":"urn:pulumi:dev::shopstream::kubernetes:core/v1:Namespace::shop-data","type":"kubernetes:core/v1:Namespace","protect":true}]}}`)
	m.set("namespaces", "shop-data\n")
	m.set("volumes", "shop-data pv-1 data-kafka-0")
	m.write(filepath.Join(m.root, "Pulumi.kept.yaml"), "config:\n  shopstream:keepVolumes: true\n  shopstream:cluster: {context: minikube}\n")
	m.platform("down", "STACK=kept").succeeds().
		did("pulumi destroy", "--exclude-protected").didNot("unprotect").
		says("pv-1 (shop-data/data-kafka-0)", "make down STACK=kept KEEP_VOLUMES=false")
	m.platform("down", "STACK=kept", "KEEP_VOLUMES=false").fails().
		did("pulumi state unprotect --all --yes --stack kept").didNot("--exclude-protected").
		says("this is still there: shop-data")
	m.set("state", `{"version":3,"deployment":{}}`)
	m.platform("down", "STACK=kept").fails().says("Run make up first").didNot("pulumi destroy")
}

func TestDownNeedsTheCluster(t *testing.T) {
	m := newMachine(t)
	m.unset("cluster")
	m.platform("down").fails().says("stack rm --force --stack dev")
}

func TestProductionHasNoDefaults(t *testing.T) {
	m := newMachine(t)
	const s3, cloud = "PULUMI_BACKEND_URL=s3://state", "PULUMI_BACKEND_URL=https://api.pulumi.com"
	m.platform("up", "STACK=prod").fails().says("PULUMI_BACKEND_URL is not set")
	m.platform("up", "STACK=prod", s3).fails().says("PULUMI_CONFIG_PASSPHRASE is not set")
	if stdin, err := os.Open(os.DevNull); err == nil {
		before := os.Stdin
		os.Stdin = stdin
		t.Cleanup(func() { os.Stdin = before })
	}
	m.platform("up", "STACK=prod", s3, "PULUMI_CONFIG_PASSPHRASE=secret").fails().says("set YES=1").didNot("pulumi up")
	m.platform("up", "STACK=prod", cloud, "YES=1").succeeds().did("pulumi up --yes")
}

func TestCtrlCEndsAQuestion(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stdin
	os.Stdin = read
	t.Cleanup(func() {
		os.Stdin = before
		_ = write.Close()
	})
	p := &platform{out: io.Discard}
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	if err := p.ask(interrupted, "Really?"); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

func TestPreviewWithoutADockerDaemonOrACluster(t *testing.T) {
	m := newMachine(t)
	m.platform("preview").succeeds()
	if !strings.Contains(m.read("project"), "refresh: always") {
		t.Error("what somebody changed by hand is not looked for")
	}
	m.unset("docker")
	m.platform("preview", "DIFF=1", "EXPECT_NO_CHANGES=1").succeeds().did("--diff", "--expect-no-changes")
	if strings.Contains(m.read("project"), "refresh") {
		t.Error("the state is refreshed without a Docker daemon")
	}
}

func TestPreviewOfProductionNeedsNoSecret(t *testing.T) {
	m := newMachine(t)
	m.unset("cluster")
	content, err := os.ReadFile(filepath.Join(m.root, "Pulumi.prod.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m.write(filepath.Join(m.root, "Pulumi.prod.yaml"), string(content)+"  shopstream:apiToken:\n    secure: v1:abc\n  shopstream:mongoUri: {\"secure\": \"v1:def\"}\nencryptionsalt: v1:x\n")
	m.platform("preview", "STACK=prod").succeeds().did("pulumi preview")
	stack := m.read("stack")
	if !strings.Contains(stack, "registry.example.com/shop") || strings.Contains(stack, "v1:") || strings.Contains(stack, "encryptionsalt") {
		t.Errorf("the preview is of\n%s", stack)
	}
	if strings.Contains(m.read("project"), "refresh") {
		t.Error("the state is refreshed without a cluster")
	}
}

// TestStatusShowsTheRest: if a port-forward fails, everything else is still shown.
func TestStatusShowsTheRest(t *testing.T) {
	m := newMachine(t)
	m.set("namespaces", "shop")
	m.set("pods", "shop api-1 Running true 0\n")
	m.set("autoscalers", "consumer   Deployment/consumer   50/100 (avg)   1   6   2   5m\nweb-server Deployment/web-server cpu: <unknown>/70% 1 5 1 5m\n")
	m.set("forward", "error: lost connection to pod")
	m.platform("status").succeeds().says("api-1", "consumer    50/100          1    6    2", "web-server  <unknown>/70%   1    5    1", "unknown at the moment: lag", "lost connection to pod")
	var r report
	if o := m.platform("status --json").succeeds(); json.Unmarshal([]byte(o.printed), &r) != nil || len(r.Pods) != 1 || len(r.Scalers) != 2 || len(r.Problems) != 1 {
		t.Errorf("as JSON it is %s", o.printed)
	}
	m.platform("status --json").succeeds().doesNotSay("null")
	m.set("namespaces", "")
	m.platform("status").succeeds().says("stack dev is not up on minikube. Run make up")
	m.platform("status --json").succeeds().says(`"pods": []`, `"groups": []`).doesNotSay("null")
}

// A load test goes on while the pod that its port-forward leads to is replaced.
func TestAPortForwardIsOpenedAgain(t *testing.T) {
	m := newMachine(t)
	m.set("pod-is-replaced", "")
	address, stop, err := kubectl{context: "minikube"}.forward(t.Context(), "shop", "web-server", 80)
	if err != nil || address != "127.0.0.1:1234" {
		t.Fatal(address, err)
	}
	defer stop()
	if !within(t.Context(), time.Minute, func(context.Context) bool {
		return strings.Count(m.read("forwards"), "service/web-server 1234:80") >= 2
	}) {
		t.Errorf("opened: %s", m.read("forwards"))
	}
}

func TestStatusShowsWhatIsMovedAndFinalized(t *testing.T) {
	m := newMachine(t)
	m.set("namespaces", "shop")
	m.set("pods", "shop api-1 Running true 0\n")
	m.set("jobs", "kafka-finalize-1\t\ntopics-1\tSuccessCriteriaMet Complete\ntopics-2\tFailureTarget Failed\n")
	m.set("said", `{"time":"2026-01-01T00:00:00Z","level":"INFO","service":"topics","msg":"moved partitions","of":20,"moved":5}`)
	m.platform("status").succeeds().says("kafka-finalize-1  running   moved partitions moved=5 of=20", "topics-1          complete", "topics-2          failed").
		doesNotSay("kafka.finalize is off")
	m.write(filepath.Join(m.root, "Pulumi.mine.yaml"), "config:\n  shopstream:kafka: {finalize: false}\n  shopstream:cluster: {context: minikube}\n")
	m.platform("status", "STACK=mine").succeeds().says("kafka.finalize is off")
}

func TestUpShowsWhatIsMoved(t *testing.T) {
	m := newMachine(t)
	m.set("movers", "topics-1-x")
	m.set("said", `{"msg":"moved partitions","moved":5,"of":20}`)
	said := make(lines, 10)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p := &platform{kube: kubectl{context: "minikube"}}
	go p.showMoves(ctx, said, time.Millisecond)
	for _, want := range []string{"    topics-1-x: moved partitions moved=5 of=20\n", "    topics-1-x: no broker answers\n"} {
		select {
		case got := <-said:
			if got != want {
				t.Errorf("it says %q, want %q", got, want)
			}
		case <-ctx.Done():
			t.Fatalf("it doesn't say %q", want)
		}
		m.set("said", "no broker answers")
	}
}

// lines are those that somebody has written.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

func TestEnvIsForCallingPulumi(t *testing.T) {
	m := newMachine(t)
	m.platform("env").succeeds().says("export PULUMI_BACKEND_URL='file://"+m.root+"/.pulumi-state'", "export PULUMI_CONFIG_PASSPHRASE='shopstream'")
	m.platform("env", "PULUMI_CONFIG_PASSPHRASE=mine").succeeds().doesNotSay("PASSPHRASE")
	if _, err := os.Stat(filepath.Join(m.root, ".pulumi-state")); err != nil {
		t.Errorf("pulumi would refuse that state: %v", err)
	}
}

// Each run of pulumi up makes one step of a renewal; make up makes all of them.
func TestUpGoesOnWhileTheCertificateIsBeingRenewed(t *testing.T) {
	m := newMachine(t)
	m.set("outputs-1", `{"kafkaCertificateStep":1}`)
	m.set("outputs-2", `{"kafkaCertificateStep":2}`)
	m.platform("up").succeeds().says("step 1 of 3 is done", "step 2 of 3 is done")
	if ups := strings.Count(m.read("log"), "pulumi up"); ups != 3 {
		t.Errorf("%d runs of pulumi up, want 3:\n%s", ups, m.read("log"))
	}
}

func TestStatusShowsTheEndOfTheCertificate(t *testing.T) {
	m := newMachine(t)
	pair, err := secret.Certificate("kafka", []string{"kafka"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	m.set("namespaces", "shop")
	m.set("pods", "shop api-1 Running true 0\n")
	m.set("certificate", base64.StdEncoding.EncodeToString([]byte(pair.Combined)))
	m.platform("status").succeeds().doesNotSay("certificate") // of a stack that has none
	m.write(filepath.Join(m.root, "Pulumi.mine.yaml"), "config:\n  shopstream:cluster: {context: minikube}\n  shopstream:kafka: {secure: true}\n")
	m.platform("status", "STACK=mine").succeeds().says("expires on 20", "in 1824 days", "last 90 days")
	if pair, err = secret.Certificate("kafka", []string{"kafka"}, time.Now().AddDate(-6, 0, 0)); err != nil {
		t.Fatal(err)
	}
	m.set("certificate", base64.StdEncoding.EncodeToString([]byte(pair.Combined)))
	m.platform("status", "STACK=mine").succeeds().says("EXPIRED on 20").doesNotSay("days.")
	m.set("certificate", "eA==")
	m.platform("status", "STACK=mine").succeeds().says("unknown at the moment: Kafka's certificate")
}
