package platform

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	psapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"shopstream/infra/internal/addon"
	"shopstream/infra/internal/app"
	"shopstream/infra/internal/config"
	"shopstream/infra/internal/golden"
	"shopstream/infra/internal/ingress"
	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/manifest"
	"shopstream/infra/internal/mongo"
	"shopstream/infra/internal/plan"
)

func TestPodsMeetPodSecurityRestricted(t *testing.T) {
	checks, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := psapi.LevelVersion{Level: psapi.LevelRestricted, Version: psapi.LatestVersion()}
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		for _, p := range podTemplates(t, declared) {
			result := policy.AggregateCheckResults(checks.EvaluatePod(restricted, &p.meta, &p.spec))
			if !result.Allowed {
				t.Errorf("%s %s: %s: %s", p.kind, p.name, result.ForbiddenReason(), result.ForbiddenDetail())
			}
		}
	})
}

func TestNamespacesEnforceRestrictedAndDenyByDefault(t *testing.T) {
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		denied := map[string]bool{}
		for _, r := range declared {
			if r.Type == "kubernetes:networking.k8s.io/v1:NetworkPolicy" && strings.HasSuffix(r.Name, "-deny-all") {
				denied[strings.TrimSuffix(r.Name, "-deny-all")] = true
			}
		}
		for name, ns := range objects[corev1.Namespace](t, declared, "Namespace") {
			if got := ns.Labels["pod-security.kubernetes.io/enforce"]; got != "restricted" {
				t.Errorf("namespace %s enforces %q, want restricted", name, got)
			}
			if !denied[name] {
				t.Errorf("namespace %s has no deny-all policy", name)
			}
		}
	})
}

func TestContainersAreBoundedAndProbed(t *testing.T) {
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		for _, p := range podTemplates(t, declared) {
			if p.spec.EnableServiceLinks == nil || *p.spec.EnableServiceLinks {
				t.Errorf("%s: service links would put other services' addresses into its environment", p.name)
			}
			if p.spec.AutomountServiceAccountToken == nil || *p.spec.AutomountServiceAccountToken {
				t.Errorf("%s: gets a token for the API server, which it has no use for", p.name)
			}
			for _, c := range p.containers() {
				for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
					request, limit := c.Resources.Requests[name], c.Resources.Limits[name]
					if request.Sign() <= 0 || limit.Cmp(request) < 0 {
						t.Errorf("%s: %s request %s, limit %s", p.name, name, request.String(), limit.String())
					}
				}
				if c.SecurityContext == nil || c.SecurityContext.ReadOnlyRootFilesystem == nil ||
					!*c.SecurityContext.ReadOnlyRootFilesystem {
					t.Errorf("%s: its root file system can be written to", p.name)
				}
				if c.RestartPolicy != nil && c.LivenessProbe == nil {
					t.Errorf("%s: a probe is missing on its sidecar %s", p.name, c.Name)
				}
				if p.kind != "Job" && c.RestartPolicy == nil && (c.StartupProbe == nil || c.ReadinessProbe == nil || c.LivenessProbe == nil) {
					t.Errorf("%s: a probe is missing", p.name)
				}
				if c.ImagePullPolicy != corev1.PullIfNotPresent {
					t.Errorf("%s: pull policy %q would ask a registry for images that only the node has", p.name, c.ImagePullPolicy)
				}
				if !strings.Contains(c.Image, ":") || strings.HasSuffix(c.Image, ":latest") {
					t.Errorf("%s: image %q is not pinned", p.name, c.Image)
				}
			}
		}
	})
}

func TestServicesHaveTimeToStop(t *testing.T) {
	for _, p := range podTemplates(t, testStacks()[0].run(t)) {
		if p.kind != "Deployment" {
			continue
		}
		needed := int64(plan.DrainDelay.Seconds() + app.ShutdownSteps*plan.ShutdownStep.Seconds())
		if got := *p.spec.TerminationGracePeriodSeconds; got <= needed {
			t.Errorf("%s is killed after %d s, and may take %d s to stop", p.name, got, needed)
		}
	}
}

func TestSelectorsMatchTheirPods(t *testing.T) {
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		pods := podTemplates(t, declared)
		matches := func(selector map[string]string, namespace string) int {
			count := 0
			for _, p := range pods {
				if p.namespace == namespace && labels.SelectorFromSet(selector).Matches(labels.Set(p.meta.Labels)) {
					count++
				}
			}
			return count
		}
		for name, s := range objects[corev1.Service](t, declared, "Service") {
			if got := matches(s.Spec.Selector, s.Namespace); got != 1 {
				t.Errorf("service %s selects the pods of %d workloads", name, got)
			}
		}
		budgets := objects[policyv1.PodDisruptionBudget](t, declared, "PodDisruptionBudget")
		for name, b := range budgets {
			if got := matches(b.Spec.Selector.MatchLabels, b.Namespace); got != 1 {
				t.Errorf("disruption budget %s selects the pods of %d workloads", name, got)
			}
		}
		for _, p := range pods {
			if _, protected := budgets[p.name]; !protected && p.kind != "Job" {
				t.Errorf("%s has no disruption budget", p.name)
			}
			if len(p.spec.TopologySpreadConstraints) == 0 && p.kind != "Job" {
				t.Errorf("the pods of %s are not spread", p.name)
			}
		}
	})
}

func TestOneAutoscalerForEachDeploymentAndNoReplicasBesideIt(t *testing.T) {
	eachStack(t, func(t *testing.T, stack testStack, declared resources) {
		scalers := map[string]int{}
		for name, h := range objects[autoscalingv2.HorizontalPodAutoscaler](t, declared, "HorizontalPodAutoscaler") {
			scalers[h.Spec.ScaleTargetRef.Name]++
			if *h.Spec.MinReplicas < 1 || *h.Spec.MinReplicas > h.Spec.MaxReplicas {
				t.Errorf("autoscaler %s: from %d to %d", name, *h.Spec.MinReplicas, h.Spec.MaxReplicas)
			}
		}
		for _, s := range objects[scaledObject](t, declared, "ScaledObject") {
			scalers[s.Spec.ScaleTargetRef.Name]++
		}
		deployments := objects[appsv1.Deployment](t, declared, "Deployment")
		for name, d := range deployments {
			if d.Spec.Replicas != nil {
				t.Errorf("deployment %s sets replicas, and so does its autoscaler", name)
			}
			if scalers[name] != 1 {
				t.Errorf("deployment %s has %d autoscalers, want 1", name, scalers[name])
			}
			delete(scalers, name)
		}
		for name := range scalers {
			t.Errorf("an autoscaler scales %q, which is not there", name)
		}
		if len(deployments) != 5 {
			t.Errorf("%d deployments, want the five services", len(deployments))
		}
	})
}

// scaledObject is the part of KEDA's object that the program sets.
type scaledObject struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Spec       struct {
		ScaleTargetRef struct {
			Name string `json:"name"`
		} `json:"scaleTargetRef"`
		PollingInterval int            `json:"pollingInterval"`
		MinReplicaCount int            `json:"minReplicaCount"`
		MaxReplicaCount int            `json:"maxReplicaCount"`
		Advanced        map[string]any `json:"advanced"`
		Fallback        map[string]any `json:"fallback"`
		Triggers        []struct {
			Type       string            `json:"type"`
			MetricType string            `json:"metricType"`
			Metadata   map[string]string `json:"metadata"`
			Cached     bool              `json:"useCachedMetrics"`

			AuthenticationRef struct {
				Name string `json:"name"`
			} `json:"authenticationRef"`
		} `json:"triggers"`
	} `json:"spec"`
}

func TestScalingOnLagFitsTheTopic(t *testing.T) {
	eachStack(t, func(t *testing.T, stack testStack, declared resources) {
		partitions := map[string]int{}
		for _, topic := range declaredTopics(t, declared) {
			partitions[topic.Name] = topic.Partitions
		}
		seen := 0
		for name, s := range objects[scaledObject](t, declared, "ScaledObject") {
			for _, trigger := range s.Spec.Triggers {
				if trigger.Type != "kafka" {
					continue
				}
				seen++
				if s.Spec.PollingInterval != 10 || !trigger.Cached {
					t.Errorf("%s: lag is asked for every %d s (cached: %t), so a consumer may pass for stuck", name, s.Spec.PollingInterval, trigger.Cached)
				}
				if got := partitions[trigger.Metadata["topic"]]; s.Spec.MaxReplicaCount > got {
					t.Errorf("%s: up to %d pods for %d partitions of %q",
						name, s.Spec.MaxReplicaCount, got, trigger.Metadata["topic"])
				}
				if got := trigger.Metadata["offsetResetPolicy"]; got != "earliest" {
					t.Errorf("%s: offsets start at %q, the consumers' at earliest", name, got)
				}
				group := environment(t, declared, name)["GROUP_ID"]
				if got := trigger.Metadata["consumerGroup"]; got != group.Value {
					t.Errorf("%s: watches group %q, the service joins %q", name, got, group.Value)
				}
				if !strings.Contains(trigger.Metadata["bootstrapServers"], ".svc.") && !strings.Contains(trigger.Metadata["bootstrapServers"], ".example.com:") {
					t.Errorf("%s: %q does not resolve from KEDA's namespace", name, trigger.Metadata["bootstrapServers"])
				}
			}
			if s.Spec.MinReplicaCount < 1 {
				t.Errorf("%s: scales to nothing", name)
			}
		}
		if seen != 2 {
			t.Errorf("%d services scale on lag, want 2", seen)
		}
	})
}

func declaredTopics(t *testing.T, declared resources) []kafka.Topic {
	t.Helper()
	var topics []kafka.Topic
	if err := json.Unmarshal([]byte(environment(t, declared, plan.TopicsJob)["TOPICS"].Value), &topics); err != nil {
		t.Fatal(err)
	}
	return topics
}

// environment returns the variables of a workload by name; a Job is found by the prefix of its name.
func environment(t *testing.T, declared resources, workload string) map[string]corev1.EnvVar {
	t.Helper()
	for _, p := range podTemplates(t, declared) {
		for _, c := range p.containers() {
			if own := p.spec.Containers[0].Name == c.Name; c.Name != workload && (!own || p.name != workload) {
				continue
			}
			env := map[string]corev1.EnvVar{}
			for _, e := range c.Env {
				env[e.Name] = e
			}
			return env
		}
	}
	t.Fatalf("there is no workload %q", workload)
	return nil
}

func TestKafkaNodesAgree(t *testing.T) {
	eachStack(t, func(t *testing.T, stack testStack, declared resources) {
		if c, _ := stack.parsed(t); c.Kafka.IsExternal() {
			return // TestAnExternalKafkaReplacesTheStacksOwn
		}
		ids := map[int]string{}
		var voters, clusterIDs []string
		brokers := 0
		minISR := map[string]bool{}
		for name, set := range objects[appsv1.StatefulSet](t, declared, "StatefulSet") {
			env := environment(t, declared, name)
			if env["CLUSTER_ID"].Value == "" {
				continue // not Kafka
			}
			voters = append(voters, env["KAFKA_CONTROLLER_QUORUM_VOTERS"].Value)
			clusterIDs = append(clusterIDs, env["CLUSTER_ID"].Value)
			minISR[env["KAFKA_MIN_INSYNC_REPLICAS"].Value] = true
			for i := range int(*set.Spec.Replicas) {
				id, err := strconv.Atoi(strings.ReplaceAll(env["KAFKA_NODE_ID"].Value, "$(POD_INDEX)", strconv.Itoa(i)))
				if err != nil {
					t.Fatal(err)
				}
				pod := fmt.Sprintf("%s-%d", name, i)
				if other, taken := ids[id]; taken {
					t.Errorf("%s and %s have the same node id %d", pod, other, id)
				}
				ids[id] = pod
			}
			if strings.Contains(env["KAFKA_PROCESS_ROLES"].Value, "broker") {
				brokers += int(*set.Spec.Replicas)
			}
			if !strings.HasPrefix(env["KAFKA_LOG_DIRS"].Value, "/var/lib/kafka/data/") {
				t.Errorf("%s keeps its data in %q, outside a folder of its volume", name, env["KAFKA_LOG_DIRS"].Value)
			}
		}
		if len(slices.Compact(voters)) != 1 || len(slices.Compact(clusterIDs)) != 1 || len(minISR) != 1 {
			t.Errorf("nodes differ in voters %q, cluster ids %q or min ISR %v", voters, clusterIDs, minISR)
		}
		if !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{21}$`).MatchString(clusterIDs[0]) {
			t.Errorf("cluster id %q", clusterIDs[0])
		}
		for _, voter := range strings.Split(voters[0], ",") {
			id, address, _ := strings.Cut(voter, "@")
			number, err := strconv.Atoi(id)
			if err != nil {
				t.Fatal(err)
			}
			if host, _, _ := strings.Cut(address, "."); ids[number] != host {
				t.Errorf("voter %s is %s, whose node id is another", voter, ids[number])
			}
		}
		if count := len(strings.Split(voters[0], ",")); count%2 == 0 {
			t.Errorf("%d voters", count)
		}
		for _, topic := range declaredTopics(t, declared) {
			isr, err := strconv.Atoi(topic.Config["min.insync.replicas"])
			if err != nil {
				t.Fatal(err)
			}
			if topic.ReplicationFactor > brokers || isr > topic.ReplicationFactor {
				t.Errorf("topic %s: %d copies, %d in sync, %d brokers", topic.Name, topic.ReplicationFactor, isr, brokers)
			}
			if brokers >= 3 && (topic.ReplicationFactor != 3 || isr != 2) {
				t.Errorf("topic %s: %d copies and %d in sync do not survive the loss of a broker", topic.Name,
					topic.ReplicationFactor, isr)
			}
		}
	})
}

func TestSecretsAreSecret(t *testing.T) {
	eachStack(t, func(t *testing.T, stack testStack, declared resources) {
		secrets := 0
		for _, r := range declared {
			if r.Type != "kubernetes:core/v1:Secret" {
				continue
			}
			secrets++
			data := r.Inputs["data"]
			if data.IsSecret() {
				continue
			}
			for key, value := range data.ObjectValue() {
				if !value.IsSecret() {
					t.Errorf("%s: %s stands in plain in the state", r.Name, key)
				}
			}
		}
		if secrets == 0 {
			t.Error("there are no secrets")
		}
		token := stack.settings["apiToken"]
		for _, m := range manifest.Of(declared) {
			encoded, err := json.Marshal(m.Object)
			if err != nil {
				t.Fatal(err)
			}
			for _, value := range []string{token, strings.Repeat("00", 24), stack.settings["mongoUri"], "of the shop", "of the owner"} {
				if value != "" && strings.Contains(string(encoded), value) {
					t.Errorf("%s holds a secret", m.Path)
				}
			}
		}
	})
}

func TestGeneratedSecretsAreKept(t *testing.T) {
	for _, r := range testStacks()[0].run(t) {
		if r.Name != "mongodb-admin" {
			continue
		}
		want := []string{`data["app-password"]`, `data["keyfile"]`, `data["password"]`}
		if got := slices.Sorted(slices.Values(r.Ignored)); !slices.Equal(got, want) {
			t.Errorf("changes of %q are ignored, want %q: a second run would make up new ones", got, want)
		}
		return
	}
	t.Error("there is no secret mongodb-admin")
}

// TestAnotherVolumeSizeReplacesNoStatefulSet: the provider would delete the StatefulSet first, with all its volumes.
func TestAnotherVolumeSizeReplacesNoStatefulSet(t *testing.T) {
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		for _, r := range declared {
			if r.Type == "kubernetes:apps/v1:StatefulSet" && !slices.Contains(r.Ignored, "spec.volumeClaimTemplates") {
				t.Errorf("a change of the volume claim templates of %q isn't ignored, but of %q", r.Name, r.Ignored)
			}
		}
	})
}

// TestEveryClaimGrows: the template of the claims can't be changed, so each claim is resized afterwards.
func TestEveryClaimGrows(t *testing.T) {
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		sizes := map[string]string{}
		for _, r := range declared {
			if r.Type == "kubernetes:core/v1:PersistentVolumeClaimPatch" {
				sizes[r.Name] = r.Inputs["spec"].ObjectValue()["resources"].ObjectValue()["requests"].ObjectValue()["storage"].StringValue()
			}
		}
		claims := 0
		for name, set := range objects[appsv1.StatefulSet](t, declared, "StatefulSet") {
			template := set.Spec.VolumeClaimTemplates[0]
			for i := range int(*set.Spec.Replicas) {
				claims++
				claim := fmt.Sprintf("%s-%s-%d", template.Name, name, i)
				if want := template.Spec.Resources.Requests.Storage().String(); sizes[claim] != want {
					t.Errorf("claim %s grows to %q, want %q", claim, sizes[claim], want)
				}
			}
		}
		if len(sizes) != claims {
			t.Errorf("%d claims grow, and there are %d", len(sizes), claims)
		}
	})
}

func TestDestroyGoesInOrder(t *testing.T) {
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		before := dependencies(declared)
		for _, r := range declared {
			if !strings.HasPrefix(r.Type, "kubernetes:") || r.Type == "kubernetes:core/v1:Namespace" {
				continue
			}
			// pulumi deletes a resource before those that it depends on.
			for _, other := range declared {
				needed := other.Type == "kubernetes:core/v1:Namespace" && namespaceOf(r) == other.Name ||
					other.Name == "keda" && other.Type == releaseToken && strings.Contains(r.Type, "keda.sh") ||
					other.Name == "ingress-nginx" && other.Type == releaseToken && strings.HasSuffix(r.Type, ":Ingress") ||
					other.Name == "traefik" && other.Type == releaseToken && strings.Contains(r.Type, "gateway.networking.k8s.io") ||
					other.Name == "shopstream-"+r.Name && r.Type == releaseToken ||
					other.Type == "netpol:Policies" && (r.Type == releaseToken || strings.HasSuffix(r.Type, "Set"))
				if needed && !before[r.URN][other.URN] {
					t.Errorf("%s %q may be deleted after %s %q", r.Type, r.Name, other.Type, other.Name)
				}
			}
		}
	})
}

// TestVolumesAreKeptWithWhatTheyNeed: with the volumes, their namespace and the passwords for their content are kept, and
// nothing else: pulumi also keeps what a protected resource depends on.
func TestVolumesAreKeptWithWhatTheyNeed(t *testing.T) {
	eachStack(t, func(t *testing.T, stack testStack, declared resources) {
		c, _ := stack.parsed(t)
		var want []string
		if c.KeepVolumes {
			want = []string{"Namespace shop-data", "NetworkPolicy shop-data-deny-all"}
			if !c.Mongo.External {
				want = append(want, "PersistentVolumeClaim mongodb-backups", "Secret mongodb-admin")
			}
		}
		before := dependencies(declared)
		var kept []string
		for _, r := range declared {
			spared := r.Protected || slices.ContainsFunc(declared, func(other manifest.Resource) bool {
				return other.Protected && before[other.URN][r.URN]
			})
			if spared && r.Custom && strings.HasPrefix(r.Type, "kubernetes:") {
				kept = append(kept, r.Type[strings.LastIndex(r.Type, ":")+1:]+" "+r.Name)
			}
		}
		slices.Sort(kept)
		if !slices.Equal(kept, want) {
			t.Errorf("make down leaves %q, want %q", kept, want)
		}
		for name, s := range objects[appsv1.StatefulSet](t, declared, "StatefulSet") {
			policy := s.Spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted
			if retained := policy == appsv1.RetainPersistentVolumeClaimRetentionPolicyType; retained != c.KeepVolumes {
				t.Errorf("%s: the claims' fate is %q, and keepVolumes is %v", name, policy, c.KeepVolumes)
			}
		}
	})
}

const releaseToken = "kubernetes:helm.sh/v3:Release"

func namespaceOf(r manifest.Resource) string {
	if r.Type == releaseToken {
		return r.Inputs["namespace"].StringValue()
	}
	if metadata := r.Inputs["metadata"]; metadata.IsObject() {
		if ns := metadata.ObjectValue()["namespace"]; ns.IsString() {
			return ns.StringValue()
		}
	}
	return ""
}

// dependencies returns, for each resource, everything that it depends on: directly, through its parents, and through theirs.
func dependencies(declared resources) map[string]map[string]bool {
	direct := map[string][]string{}
	for _, r := range declared {
		direct[r.URN] = append(slices.Clone(r.Dependencies), r.Parent)
	}
	all := map[string]map[string]bool{}
	var visit func(start, urn string)
	visit = func(start, urn string) {
		for _, next := range direct[urn] {
			if next != "" && !all[start][next] {
				all[start][next] = true
				visit(start, next)
			}
		}
	}
	for urn := range direct {
		all[urn] = map[string]bool{}
		visit(urn, urn)
	}
	return all
}

func TestResourcesBelongToTheirComponents(t *testing.T) {
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		names := map[string]bool{}
		for _, r := range declared {
			if names[r.URN] {
				t.Errorf("%s is declared twice", r.URN)
			}
			names[r.URN] = true
			if r.Custom && strings.HasPrefix(r.Type, "kubernetes:") && !strings.Contains(r.Type, "helm.sh") && r.Parent == "" {
				t.Errorf("%s has no parent", r.URN)
			}
		}
	})
}

func TestPreviewNeedsNoSecretsNoDaemonAndNoCharts(t *testing.T) {
	stack := testStack{file: "prod", settings: map[string]string{
		"images": `{"registry": "registry.example.com", "platform": "linux/amd64", "dockerHost": "tcp://builder:2375"}`,
	}}
	settings := stack.config(t)
	w := testHost(t)
	w.daemon = func(string) error { return fmt.Errorf("nobody answers") }
	w.chart = func(c addon.Chart) error {
		if c.Name == "keda" {
			return fmt.Errorf("no route to it")
		}
		return nil
	}
	preview := func(dryRun bool) (resources, error) {
		return manifest.Run(Program(w, settings), manifest.Stack{Project: config.Project, Name: "prod", Preview: dryRun})
	}
	declared, err := preview(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range declared {
		// The recorder omits values that are not known yet.
		if r.Type == "pulumi:providers:docker" && r.Inputs["host"].IsString() {
			t.Errorf("%s %q would dial the daemon", r.Type, r.Name)
		}
		if r.Type == releaseToken && r.Inputs["version"].IsString() != (r.Name != "keda") {
			t.Errorf("release %q: version %v", r.Name, r.Inputs["version"])
		}
	}
	_, err = preview(false)
	if err == nil || !strings.Contains(err.Error(), "apiToken") {
		t.Errorf("up without the API's token: %v", err)
	}
}

func TestUpNamesEverythingUnreachable(t *testing.T) {
	stack := testStacks()[0]
	settings := stack.config(t)
	w := testHost(t)
	w.daemon = func(string) error { return fmt.Errorf("nobody answers") }
	w.chart = func(addon.Chart) error { return fmt.Errorf("no route to it") }
	_, err := manifest.Run(Program(w, settings), manifest.Stack{Project: config.Project, Name: "dev"})
	if err == nil {
		t.Fatal("it was brought up all the same")
	}
	for _, want := range []string{"nobody answers: start Docker", "chart keda: no route to it: set addons", "chart prometheus: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("does not say %q: %v", want, err)
		}
	}
}

func TestImagesAreBuiltOnceForEachService(t *testing.T) {
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		built := map[string]string{}
		for _, r := range declared {
			if r.Type == "docker:index/image:Image" {
				built[r.Inputs["imageName"].StringValue()] = r.Name
			}
		}
		used := map[string]bool{}
		for _, p := range podTemplates(t, declared) {
			for _, c := range p.containers() {
				if p.namespace != plan.AppNamespace && c.Name != kafka.GuardName && c.Name != mongo.BackupProgram {
					continue // the image of another service
				}
				used[c.Image] = true
				if built[c.Image] == "" {
					t.Errorf("%s runs %q, which is not built", p.name, c.Image)
				}
			}
		}
		if got, want := slices.Sorted(maps.Keys(built)), slices.Sorted(maps.Keys(used)); !slices.Equal(got, want) {
			t.Errorf("built %q, used %q", got, want)
		}
	})
}

func TestGoldenManifests(t *testing.T) {
	for _, stack := range testStacks() {
		t.Run(stack.name, func(t *testing.T) {
			got, err := manifest.Text(manifest.Of(stack.run(t)))
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, "../../testdata/manifests/"+strings.ReplaceAll(stack.name, " ", "-")+".yaml", got)
		})
	}
}

func TestProbesAndMetricsStayInside(t *testing.T) {
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		routes := servedPaths(t, declared)
		served := func(request string) bool {
			return slices.ContainsFunc(routes, func(r ingress.Route) bool {
				return r.Path == request || !r.Exact && strings.HasPrefix(request, strings.TrimSuffix(r.Path, "/")+"/")
			})
		}
		for _, request := range []string{"/metrics", "/-/ready", "/-/healthy", "/debug/pprof"} {
			if served(request) {
				t.Errorf("%s is reachable from outside", request)
			}
		}
		for _, request := range []string{
			"/", "/shop/app.js", "/buy", "/api/v1/buy", "/getAllUserBuys/ann", "/api/v1/buys/1", "/messages", "/messages/stream", "/topics",
			"/topics/orders/config", "/groups", "/brokers", "/viewer", "/viewer/app.js", "/health",
		} {
			if !served(request) {
				t.Errorf("%s is not reachable from outside", request)
			}
		}
	})
}

// servedPaths returns the paths of the Ingress, or of the HTTPRoutes to services.
func servedPaths(t *testing.T, declared resources) []ingress.Route {
	t.Helper()
	var routes []ingress.Route
	for _, i := range objects[networkingv1.Ingress](t, declared, "Ingress") {
		for _, p := range i.Spec.Rules[0].HTTP.Paths {
			routes = append(routes, ingress.Route{Path: p.Path, Exact: *p.PathType == networkingv1.PathTypeExact})
		}
	}
	for _, route := range objects[gatewayv1.HTTPRoute](t, declared, "HTTPRoute") {
		for _, rule := range route.Spec.Rules {
			for _, m := range rule.Matches {
				routes = append(routes, ingress.Route{Path: *m.Path.Value, Exact: *m.Path.Type == gatewayv1.PathMatchExact})
			}
		}
	}
	return routes
}

// TestOnlyNamespacesGrantSecrets: a right to read all Secrets of a cluster is a right to everything.
func TestOnlyNamespacesGrantSecrets(t *testing.T) {
	eachStack(t, func(t *testing.T, _ testStack, declared resources) {
		for name, role := range objects[rbacv1.ClusterRole](t, declared, "ClusterRole") {
			for _, rule := range role.Rules {
				if slices.Contains(rule.Resources, "secrets") || slices.Contains(rule.Resources, "*") || slices.Contains(rule.Verbs, "*") {
					t.Errorf("%s may %v %v of every namespace", name, rule.Verbs, rule.Resources)
				}
			}
		}
	})
}
