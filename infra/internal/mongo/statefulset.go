package mongo

import (
	"strconv"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/label"
	"shopstream/infra/internal/pod"
	"shopstream/infra/internal/volume"
)

func scratchMounts() map[string]string {
	return map[string]string{"tmp": "/tmp", "configdb": "/data/configdb"}
}

func (args DatabaseArgs) statefulSet() *appsv1.StatefulSetSpecArgs {
	retention := "Retain"
	if args.DeleteVolumes {
		retention = "Delete"
	}
	return &appsv1.StatefulSetSpecArgs{
		ServiceName:         pulumi.String(headlessName),
		Replicas:            pulumi.Int(args.Members),
		Selector:            &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(label.Selector(Name))},
		PodManagementPolicy: pulumi.String("Parallel"),
		PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicyArgs{
			WhenDeleted: pulumi.String(retention),
			WhenScaled:  pulumi.String("Retain"),
		},
		VolumeClaimTemplates: corev1.PersistentVolumeClaimTypeArray{args.claims().Template()},
		Template: &corev1.PodTemplateSpecArgs{
			Metadata: &metav1.ObjectMetaArgs{Labels: pulumi.ToStringMap(label.Standard(Name, "database"))},
			Spec:     args.podSpec(),
		},
	}
}

func (args DatabaseArgs) claims() volume.Claims {
	return volume.Claims{Set: Name, Count: args.Members, Class: args.StorageClass, Size: args.StorageSize}
}

func (args DatabaseArgs) podSpec() *corev1.PodSpecArgs {
	mounts := append(corev1.VolumeMountArray{
		corev1.VolumeMountArgs{Name: pulumi.String(volume.Name), MountPath: pulumi.String("/data/db")},
		corev1.VolumeMountArgs{
			Name: pulumi.String(keyVolume), MountPath: pulumi.String("/etc/mongodb"), ReadOnly: pulumi.Bool(true),
		},
	}, pod.Mounts(scratchMounts())...)

	return &corev1.PodSpecArgs{
		EnableServiceLinks:            pulumi.Bool(false),
		AutomountServiceAccountToken:  pulumi.Bool(false),
		SecurityContext:               pod.Security(user),
		TopologySpreadConstraints:     pod.Spread(label.Selector(Name), args.Zones),
		TerminationGracePeriodSeconds: pulumi.Int(60),
		Volumes: append(pod.Scratch(scratchMounts()), corev1.VolumeArgs{
			Name: pulumi.String(keyVolume),
			Secret: &corev1.SecretVolumeSourceArgs{
				SecretName: pulumi.String(adminSecret),
				Items: corev1.KeyToPathArray{corev1.KeyToPathArgs{
					Key: pulumi.String(replicaSetKey), Path: pulumi.String("keyfile"),
				}},
			},
		}),
		Containers: corev1.ContainerArray{corev1.ContainerArgs{
			Name:            pulumi.String("mongodb"),
			Image:           pulumi.String(args.Image),
			ImagePullPolicy: pulumi.String("IfNotPresent"),
			Command:         pulumi.ToStringArray([]string{"bash", "-c", startScript}),
			Env: pod.EnvVars([]pod.Env{
				pod.Field("POD_INDEX", "metadata.labels['apps.kubernetes.io/pod-index']"),
				pod.Value("REPLICA_SET", replicaSet),
				pod.Value("CACHE_GB", args.cacheGB()),
				pod.Value("MONGO_INITDB_ROOT_USERNAME", rootUser),
				pod.Secret("MONGO_INITDB_ROOT_PASSWORD", adminSecret, passwordKey),
			}),
			Ports: corev1.ContainerPortArray{corev1.ContainerPortArgs{
				Name: pulumi.String("mongodb"), ContainerPort: pulumi.Int(Port),
			}},
			Resources:       args.Resources.Requirements(),
			SecurityContext: pod.ContainerSecurity(),
			VolumeMounts:    mounts,
			// An open port at the pod's address: the temporary server of the first start, which creates the root user, doesn't
			// listen there. A member that copies the data is alive, but not ready: a disruption budget must not count it.
			StartupProbe:   portProbe(5, 60),
			ReadinessProbe: helloProbe(10, 3),
			LivenessProbe:  portProbe(20, 6),
		}},
	}
}

// cacheGB is the storage engine's cache: half of the memory, and no less than the engine's own minimum.
func (args DatabaseArgs) cacheGB() string {
	gigabytes := float64(args.Resources.Memory.Value()) / (1 << 30) / 2
	return strconv.FormatFloat(max(gigabytes, 0.25), 'f', 2, 64)
}

func helloProbe(period, failures int) *corev1.ProbeArgs {
	return &corev1.ProbeArgs{
		Exec: &corev1.ExecActionArgs{
			Command: pulumi.ToStringArray([]string{"bash", "-c", readyScript, "ready", strconv.Itoa(Port)}),
		},
		PeriodSeconds:    pulumi.Int(period),
		TimeoutSeconds:   pulumi.Int(5),
		FailureThreshold: pulumi.Int(failures),
	}
}

func portProbe(period, failures int) *corev1.ProbeArgs {
	return &corev1.ProbeArgs{
		TcpSocket:        &corev1.TCPSocketActionArgs{Port: pulumi.Int(Port)},
		PeriodSeconds:    pulumi.Int(period),
		TimeoutSeconds:   pulumi.Int(5),
		FailureThreshold: pulumi.Int(failures),
	}
}
