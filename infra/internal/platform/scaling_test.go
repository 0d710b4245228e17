package platform

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

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
