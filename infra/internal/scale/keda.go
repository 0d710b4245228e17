package scale

import (
	"fmt"
	"strconv"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apiextensions"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/label"
)

// Trigger is what a ScaledObject scales on, in KEDA's format.
type Trigger map[string]any

// CPU scales on the use of the CPU request, in percent.
func CPU(utilization int) Trigger {
	return Trigger{
		"type":       "cpu",
		"metricType": "Utilization",
		"metadata":   map[string]any{"value": strconv.Itoa(utilization)},
	}
}

// Lag scales on the lag of a consumer group.
type Lag struct {
	BootstrapServers string
	Topic, Group     string

	// Threshold is the lag that one pod may have.
	Threshold int

	// Authentication is the name of the TriggerAuthentication; empty where the brokers require no authentication.
	Authentication string
}

// Trigger scales on the group's lag.
func (l Lag) Trigger() Trigger {
	trigger := Trigger{
		"type": "kafka",
		"metadata": map[string]any{
			"bootstrapServers": l.BootstrapServers,
			"consumerGroup":    l.Group,
			"topic":            l.Topic,
			"lagThreshold":     strconv.Itoa(l.Threshold),
			// The consumers start at the earliest record, so a group that has no offset yet lags by the whole topic.
			"offsetResetPolicy": "earliest",
			// A partition whose consumer is stuck on a record lags more and more, and more pods would not help.
			"excludePersistentLag": "true",
			// The default is a protocol that Kafka 4 no longer speaks.
			"version": "3.0.0",
		},
	}
	if l.Authentication != "" {
		trigger["authenticationRef"] = map[string]any{"name": l.Authentication}
	}
	return trigger
}

// KafkaAuthentication says where KEDA finds its credentials for the brokers: keys of Secrets in the same namespace.
type KafkaAuthentication struct {
	Secret, UsernameKey, PasswordKey string
	AuthoritySecret, AuthorityKey    string
}

// NewKafkaAuthentication makes a TriggerAuthentication. Like a ScaledObject, it must be deleted before KEDA.
func NewKafkaAuthentication(
	ctx *pulumi.Context, name string, namespace pulumi.StringInput, from KafkaAuthentication,
	opts ...pulumi.ResourceOption,
) (*apiextensions.CustomResource, error) {
	reference := func(parameter, secret, key string) map[string]any {
		return map[string]any{"parameter": parameter, "name": secret, "key": key}
	}
	spec := map[string]any{"secretTargetRef": []any{
		reference("username", from.Secret, from.UsernameKey),
		reference("password", from.Secret, from.PasswordKey),
		reference("sasl", from.Secret, SASLKey),
		reference("tls", from.Secret, TLSKey),
		reference("ca", from.AuthoritySecret, from.AuthorityKey),
	}}
	object, err := apiextensions.NewCustomResource(ctx, name, &apiextensions.CustomResourceArgs{
		ApiVersion:  pulumi.String("keda.sh/v1alpha1"),
		Kind:        pulumi.String("TriggerAuthentication"),
		Metadata:    label.Meta(name, namespace, label.Standard(name, "autoscaler")),
		OtherFields: kubernetes.UntypedArgs{"spec": pulumi.ToMap(spec)},
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("creating trigger authentication %q: %w", name, err)
	}
	return object, nil
}

// SASLKey and TLSKey are the keys of the Secret with KEDA's SASL and TLS settings. KEDA reads both from the authentication
// once a trigger has one.
const (
	SASLKey = "keda-sasl"
	TLSKey  = "keda-tls"
)

// NewScaledObject makes a ScaledObject with one trigger. Only KEDA can remove its finalizer, so it must be deleted before
// KEDA: let it depend on KEDA's release.
func NewScaledObject(
	ctx *pulumi.Context, name string, target Target, trigger Trigger, opts ...pulumi.ResourceOption,
) (*apiextensions.CustomResource, error) {
	object, err := apiextensions.NewCustomResource(ctx, name, &apiextensions.CustomResourceArgs{
		ApiVersion: pulumi.String("keda.sh/v1alpha1"),
		Kind:       pulumi.String("ScaledObject"),
		Metadata: label.Meta(target.Deployment, target.Namespace.Ref,
			label.Standard(target.Deployment, "autoscaler")),
		OtherFields: kubernetes.UntypedArgs{"spec": pulumi.ToMap(scaledObject(target, trigger))},
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("creating scaled object %q: %w", name, err)
	}
	return object, nil
}

func scaledObject(target Target, trigger Trigger) map[string]any {
	spec := map[string]any{
		"scaleTargetRef":  map[string]any{"name": target.Deployment},
		"minReplicaCount": target.Range.Min,
		"maxReplicaCount": target.Range.Max,
		"advanced": map[string]any{
			"horizontalPodAutoscalerConfig": map[string]any{
				"behavior": map[string]any{
					// Every pod that is added or removed rebalances the consumer group: scale down slowly.
					"scaleDown": map[string]any{
						"stabilizationWindowSeconds": 120,
						"policies": []any{
							map[string]any{"type": "Pods", "value": 1, "periodSeconds": 60},
						},
					},
				},
			},
		},
		"triggers": []any{map[string]any(trigger)},
	}
	if trigger["type"] != "cpu" {
		// While the brokers are unreachable the lag is unknown: keep the pods that run.
		spec["fallback"] = map[string]any{
			"failureThreshold": 3, "replicas": target.Range.Min, "behavior": "currentReplicasIfHigher",
		}
	}
	return spec
}
