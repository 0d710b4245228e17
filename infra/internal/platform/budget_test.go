package platform

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/plan"
)

// TestDemandsMatchThePods compares the demands, which are checked beforehand, with the declared pods.
func TestDemandsMatchThePods(t *testing.T) {
	eachStack(t, func(t *testing.T, stack testStack, declared resources) {
		c, _ := stack.parsed(t)
		replicas := map[string]int{}
		for _, s := range plan.Services(c) {
			replicas[s.Name] = s.Size.Min
		}
		var cpu, memory resource.Quantity
		for _, p := range podTemplates(t, declared) {
			count := p.replicas
			if p.kind == "Deployment" {
				count = replicas[p.name]
			}
			for range count {
				for _, container := range p.containers() {
					cpu.Add(container.Resources.Requests[corev1.ResourceCPU])
					memory.Add(container.Resources.Requests[corev1.ResourceMemory])
				}
			}
		}
		addons := map[string]bool{"a service's update": true}
		for _, chart := range plan.Charts(c) {
			for _, d := range chart.Demands {
				addons[d.Name] = true
			}
		}
		var own []plan.Demand
		for _, d := range plan.Demands(c) {
			if !addons[d.Name] {
				own = append(own, d)
			}
		}
		wantCPU, wantMemory := plan.Total(own)
		if cpu.Cmp(wantCPU) != 0 || memory.Cmp(wantMemory) != 0 {
			t.Errorf("pods ask for %s CPUs and %s, the budget counts %s and %s",
				cpu.String(), memory.String(), wantCPU.String(), wantMemory.String())
		}
	})
}

// TestDemandsMatchTheCharts finds each demand's resources in the values of the chart.
func TestDemandsMatchTheCharts(t *testing.T) {
	c, err := config.Defaults(config.Default)
	if err != nil {
		t.Fatal(err)
	}
	for _, chart := range plan.Charts(c) {
		requests := requestsIn(chart.Values)
		for _, d := range chart.Demands {
			want := d.Resources.CPU.String() + " " + d.Resources.Memory.String()
			if requests[want] == 0 {
				t.Errorf("%s: no part asks for %s, as %s is said to", chart.Name, want, d.Name)
			}
			requests[want]--
		}
		for rest, count := range requests {
			if count > 0 {
				t.Errorf("%s: %d parts ask for %s, and the budget does not count them", chart.Name, count, rest)
			}
		}
	}
}

func requestsIn(values map[string]any) map[string]int {
	found := map[string]int{}
	if requests, ok := values["requests"].(map[string]any); ok {
		cpu, _ := requests["cpu"].(string)
		memory, _ := requests["memory"].(string)
		found[cpu+" "+memory]++
	}
	for _, value := range values {
		if inner, ok := value.(map[string]any); ok {
			for key, count := range requestsIn(inner) {
				found[key] += count
			}
		}
	}
	return found
}
