package scale

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apiextensions"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/capacity"
	"shopstream/infra/internal/label"
)

// Trigger is what a ScaledObject scales on, in KEDA's format.
type Trigger map[string]any

// Trigger scales on CPU. Beside lag and arrivals, it adds pods if they are slower than configured.
func (c CPU) Trigger() Trigger {
	return Trigger{"type": "cpu", "metricType": "AverageValue", "metadata": map[string]any{"value": c.quantity()}}
}

// Arrivals scales on the records per second that are added to a topic, which the pods that read it count, each for its
// partitions.
//
// It keeps the pods that a steady load needs. Lag alone would not: once there are enough pods it is gone, so they would be
// removed until it is back. Neither would CPU: a pod mostly waits for its database, and uses less CPU per record under load.
type Arrivals struct {
	Service, Namespace string
	Port               int
	Topic              string

	// PerPod is how many records per second one pod is to finish.
	PerPod int
}

// Trigger scales on the sum over the ready pods of the service.
func (a Arrivals) Trigger() Trigger {
	return Trigger{
		"type":             "metrics-api",
		"useCachedMetrics": true, // asked for every pollingInterval, like lag
		"metadata": map[string]any{
			"url":           fmt.Sprintf("http://%s.%s.svc:%d/metrics", a.Service, a.Namespace, a.Port), // KEDA parses the service and the namespace from it
			"format":        "prometheus",
			"valueLocation": fmt.Sprintf("kafka_consumer_arrivals_per_second{topic=%q}", a.Topic),
			"targetValue":   strconv.Itoa(a.PerPod),

			"aggregateFromKubeServiceEndpoints": "true",
			"aggregationType":                   "sum",
		},
	}
}

// Lag scales on the lag of a consumer group.
type Lag struct {
	BootstrapServers string
	Topic, Group     string

	// Threshold is the lag per pod above which another one is needed: the lag of all partitions is divided by it.
	Threshold int

	// Authentication is the name of the TriggerAuthentication; empty if the brokers require no authentication.
	Authentication string
}

// Trigger scales on the group's lag.
func (l Lag) Trigger() Trigger {
	trigger := Trigger{
		"type": "kafka",
		// KEDA reads lag every pollingInterval, and only then. Otherwise it would also do so for each request of the HPA, and
		// excludePersistentLag, which compares with the offsets of the previous reading, would take two readings in quick
		// succession for a consumer that is stuck.
		"useCachedMetrics": true,
		"metadata": map[string]any{
			"bootstrapServers": l.BootstrapServers,
			"consumerGroup":    l.Group,
			"topic":            l.Topic,
			"lagThreshold":     strconv.Itoa(l.Threshold),
			// The consumers start at the earliest record, so the lag of a group without an offset is the whole topic. KEDA counts
			// expired records too (kedacore/keda#7936), so the consumers commit an offset where there is nothing to read.
			"offsetResetPolicy": "earliest",
			// The lag of a partition whose consumer is stuck on a record keeps growing, and more pods would not help.
			"excludePersistentLag": "true",
			// Left at their defaults: activationLagThreshold decides between no pod and one, and there is always one.
			// limitToPartitionsWithLag would limit a group in which one member owns all partitions with lag.
			// ensureEvenDistributionOfPartitions would flap: with 6 partitions it requires 6 pods where CPU requires 4.
			// The default is a protocol that Kafka 4 no longer speaks.
			"version": "3.0.0",
		},
	}
	if l.Authentication != "" {
		trigger["authenticationRef"] = map[string]any{"name": l.Authentication}
	}
	return trigger
}

// KafkaAuthentication says where KEDA finds its credentials for the brokers: keys of Secrets in the same namespace. Without
// a UsernameKey it doesn't authenticate, and without an AuthoritySecret it verifies the brokers with the system's authorities.
type KafkaAuthentication struct {
	Secret, UsernameKey, PasswordKey string
	AuthoritySecret, AuthorityKey    string
}

// NewKafkaAuthentication declares a TriggerAuthentication. Like a ScaledObject, it must be deleted before KEDA.
func NewKafkaAuthentication(
	ctx *pulumi.Context, name string, namespace pulumi.StringInput, from KafkaAuthentication,
	opts ...pulumi.ResourceOption,
) (*apiextensions.CustomResource, error) {
	reference := func(parameter, secret, key string) map[string]any {
		return map[string]any{"parameter": parameter, "name": secret, "key": key}
	}
	var references []any
	if from.UsernameKey != "" {
		references = append(references, reference("username", from.Secret, from.UsernameKey),
			reference("password", from.Secret, from.PasswordKey), reference("sasl", from.Secret, SASLKey))
	}
	references = append(references, reference("tls", from.Secret, TLSKey))
	if from.AuthoritySecret != "" {
		references = append(references, reference("ca", from.AuthoritySecret, from.AuthorityKey))
	}
	spec := map[string]any{"secretTargetRef": references}
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

// SASLMode returns KEDA's name of a SASL mechanism.
func SASLMode(mechanism string) string {
	switch mechanism {
	case "SCRAM-SHA-256":
		return "scram_sha256"
	case "SCRAM-SHA-512":
		return "scram_sha512"
	}
	return "plaintext" // PLAIN
}

// TLSMode returns KEDA's name for connections with or without TLS.
func TLSMode(on bool) string {
	if on {
		return "enable"
	}
	return "disable"
}

// NewScaledObject declares a ScaledObject; the trigger that wants most pods decides. Only KEDA can remove its finalizer, so
// it must be deleted before KEDA: let it depend on KEDA's release.
func NewScaledObject(
	ctx *pulumi.Context, name string, target Target, triggers []Trigger, opts ...pulumi.ResourceOption,
) (*apiextensions.CustomResource, error) {
	object, err := apiextensions.NewCustomResource(ctx, name, &apiextensions.CustomResourceArgs{
		ApiVersion: pulumi.String("keda.sh/v1alpha1"),
		Kind:       pulumi.String("ScaledObject"),
		Metadata: label.Meta(target.Deployment, target.Namespace.Ref,
			label.Standard(target.Deployment, "autoscaler")),
		OtherFields: kubernetes.UntypedArgs{"spec": pulumi.ToMap(scaledObject(target, triggers))},
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("creating scaled object %q: %w", name, err)
	}
	return object, nil
}

func scaledObject(target Target, triggers []Trigger) map[string]any {
	spec := map[string]any{
		"scaleTargetRef":  map[string]any{"name": target.Deployment},
		"minReplicaCount": target.Range.Min,
		"maxReplicaCount": target.Range.Max,
		"advanced": map[string]any{
			"horizontalPodAutoscalerConfig": map[string]any{
				"behavior": map[string]any{
					// Every added or removed pod rebalances the consumer group. So all that are needed are added at once: the default
					// is at most four, or twice as many, every 15 s.
					"scaleUp": map[string]any{
						"stabilizationWindowSeconds": 0,
						"policies": []any{
							map[string]any{"type": "Pods", "value": target.Range.Max, "periodSeconds": 15},
						},
					},
					// Half of them are removed at a time, once they were not needed for two minutes: in that time lag is read twelve
					// times, and a rebalance, during which lag seems to be zero, is over.
					"scaleDown": map[string]any{
						"stabilizationWindowSeconds": int(capacity.ShrinkAfter.Seconds()),
						"policies": []any{
							map[string]any{"type": "Percent", "value": 50, "periodSeconds": int(capacity.ShrinkEvery.Seconds())},
						},
					},
					// A separate tolerance needs a feature gate in Kubernetes 1.33 and 1.34: the cluster's own is used, a tenth.
				},
			},
		},
	}
	list := make([]any, len(triggers))
	for i, t := range triggers {
		list[i] = map[string]any(t)
	}
	spec["triggers"] = list
	if slices.ContainsFunc(triggers, func(t Trigger) bool { return t["type"] == "kafka" }) {
		spec["pollingInterval"] = int(capacity.PollInterval.Seconds())
		// While the brokers are unreachable the lag is unknown: keep the pods that run. CPU alone has no fallback.
		spec["fallback"] = map[string]any{
			"failureThreshold": 3, "replicas": target.Range.Min, "behavior": "currentReplicasIfHigher",
		}
	}
	return spec
}
