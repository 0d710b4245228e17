package platform

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	psapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"shopstream/infra/internal/app"
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
