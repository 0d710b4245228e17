package kafka

import (
	"fmt"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/label"
	"shopstream/infra/internal/pod"
	"shopstream/infra/internal/volume"
)

// scratchMounts are the folders that the image's start script and its logging write to, which the read-only root file
// system would refuse.
func scratchMounts() map[string]string {
	return map[string]string{"config": "/opt/kafka/config", "logs": "/opt/kafka/logs", "tmp": "/tmp"}
}

func (args ClusterArgs) statefulSet(p pool) *appsv1.StatefulSetSpecArgs {
	retention := "Retain"
	if args.DeleteVolumes {
		retention = "Delete"
	}
	return &appsv1.StatefulSetSpecArgs{
		ServiceName: pulumi.String(p.headless()),
		Replicas:    pulumi.Int(p.count),
		Selector:    &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(label.Selector(p.name))},
		// At first all nodes start at once: a single first node would wait forever for its quorum. Updates still go one by
		// one.
		PodManagementPolicy: pulumi.String("Parallel"),
		PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicyArgs{
			WhenDeleted: pulumi.String(retention),
			WhenScaled:  pulumi.String("Retain"),
		},
		VolumeClaimTemplates: corev1.PersistentVolumeClaimTypeArray{args.claims(p).Template()},
		Template: &corev1.PodTemplateSpecArgs{
			Metadata: &metav1.ObjectMetaArgs{
				Labels:      pulumi.ToStringMap(label.Standard(p.name, "kafka")),
				Annotations: args.Security.annotations(),
			},
			Spec: args.podSpec(p),
		},
	}
}

func (args ClusterArgs) claims(p pool) volume.Claims {
	return volume.Claims{Set: p.name, Count: p.count, Class: args.StorageClass, Size: args.StorageSize}
}

func (args ClusterArgs) podSpec(p pool) *corev1.PodSpecArgs {
	mounts := corev1.VolumeMountArray{corev1.VolumeMountArgs{
		Name: pulumi.String(volume.Name), MountPath: pulumi.String("/var/lib/kafka/data"),
	}}
	mounts = append(mounts, pod.Mounts(scratchMounts())...)
	volumes := pod.Scratch(scratchMounts())
	if args.Security.Enabled {
		volumes = append(volumes, pod.SecretVolume(certificateVolume, CertificateSecret))
		mounts = append(mounts, pod.ReadOnlyMount(certificateVolume, certificateFolder))
	}

	ports := corev1.ContainerPortArray{}
	for _, l := range listeners(args.Security) {
		if p.has(l.role) {
			ports = append(ports, corev1.ContainerPortArgs{
				Name: pulumi.String(l.portName()), ContainerPort: pulumi.Int(l.port),
			})
		}
	}
	return &corev1.PodSpecArgs{
		// A Service named kafka would set KAFKA_PORT and others in every pod, which the image would take for broker settings.
		EnableServiceLinks:            pulumi.Bool(false),
		AutomountServiceAccountToken:  pulumi.Bool(false),
		SecurityContext:               pod.Security(user),
		TopologySpreadConstraints:     pod.Spread(label.Selector(p.name), args.Zones),
		TerminationGracePeriodSeconds: pulumi.Int(endGrace),
		Volumes:                       volumes,
		InitContainers:                corev1.ContainerArray{args.guard(p)},
		Containers: corev1.ContainerArray{corev1.ContainerArgs{
			Name:            pulumi.String("kafka"),
			Image:           pulumi.String(args.Image),
			ImagePullPolicy: pulumi.String("IfNotPresent"),
			Args:            args.command(p),
			Env:             pod.EnvVars(args.environment(p)),
			Ports:           ports,
			Resources:       args.resources().Requirements(),
			SecurityContext: pod.ContainerSecurity(),
			VolumeMounts:    mounts,
			// Open ports, not the command line tools: each of those starts a JVM with the broker's own heap settings.
			StartupProbe:  probe(p.mainPort(), 10, 30),
			LivenessProbe: probe(p.mainPort(), 20, 6),
			// A StatefulSet restarts the next node when this one is ready, and a disruption budget lets the next one go then.
			ReadinessProbe: guardProbe("/ready", 5, 3),
			Lifecycle: &corev1.LifecycleArgs{PreStop: &corev1.LifecycleHandlerArgs{
				HttpGet: &corev1.HTTPGetActionArgs{Path: pulumi.String("/stop"), Port: pulumi.Int(GuardPort)},
			}},
		}},
	}
}

// command makes brokers without a vote brokers only, before it runs the image's own command. It is the same for any
// number of brokers, so that adding one restarts none of the others.
func (args ClusterArgs) command(p pool) pulumi.StringArrayInput {
	if !p.has(roleBroker) || !p.has(roleController) {
		return nil
	}
	script := fmt.Sprintf(`if [ "$POD_INDEX" -ge %d ]; then
  export KAFKA_PROCESS_ROLES=%s KAFKA_LISTENERS="$BROKER_LISTENERS"
fi
exec /etc/kafka/docker/run`, args.Topology.Quorum(), roleBroker)
	return pulumi.ToStringArray([]string{"bash", "-c", script})
}

func probe(port, period, failures int) *corev1.ProbeArgs {
	return &corev1.ProbeArgs{
		TcpSocket:        &corev1.TCPSocketActionArgs{Port: pulumi.Int(port)},
		PeriodSeconds:    pulumi.Int(period),
		TimeoutSeconds:   pulumi.Int(5),
		FailureThreshold: pulumi.Int(failures),
	}
}
