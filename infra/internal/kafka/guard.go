package kafka

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"shopstream/infra/internal/pod"
)

const (
	// GuardName is the container beside each node that delays the node's stop until the cluster can do without it.
	GuardName = "broker-guard"

	// GuardPort is where the kubelet, the other nodes' guards and Prometheus ask it.
	GuardPort     = 9095
	GuardPortName = "guard"

	// endGrace is how long a node may wait before it stops, in seconds: a day, so that there is time to repair another
	// node first.
	endGrace = 24 * 60 * 60
)

// Guard is the sidecar in each node's pod.
type Guard struct {
	Image     string
	Resources pod.Resources
	LogLevel  string

	// Options are additional options of the StatefulSets.
	Options []pulumi.ResourceOption
}

// guardEnvironment is the environment of the guard beside a pool's nodes. On a secured cluster it uses the node's own
// certificate: an identity with fewer rights would get them from the access list, which is written only once the brokers
// are ready, and they become ready only with their guards.
func (args ClusterArgs) guardEnvironment(p pool) []pod.Env {
	node := func(p pool, index string) string {
		return fmt.Sprintf("%s-%s.%s", p.name, index, args.domain(p.headless()))
	}
	brokers := args.Topology.pools()[0]
	// As many as partitions had replicas from the start, so that one of them is up. It stays the same when brokers are added.
	servers := make([]string, args.Topology.DefaultReplicas())
	for i := range servers {
		servers[i] = fmt.Sprintf("%s:%d", node(brokers, strconv.Itoa(i)), InternalPort)
	}
	role := roleBroker
	if !p.has(roleBroker) {
		role = roleController
	}
	env := []pod.Env{
		pod.Value("LOG_LEVEL", args.Guard.LogLevel),
		// Go collects garbage before the container's limit is reached, not after.
		pod.Value("GOMEMLIMIT", fmt.Sprintf("%dMiB", args.Guard.Resources.Memory.Value()*3/4>>20)),
		pod.Field("POD_INDEX", podIndex),
		pod.Value("HTTP_ADDR", fmt.Sprintf(":%d", GuardPort)),
		pod.Value("NODE_ID", p.idPrefix+"$(POD_INDEX)"),
		pod.Value("NODE_ROLE", role),
		pod.Value("FIRST_ID", strconv.Itoa(p.nodeID(0))),
		pod.Value("PEERS", fmt.Sprintf("http://%s:%d", node(p, "{index}"), GuardPort)),
		pod.Value("KAFKA_BOOTSTRAP_SERVERS", strings.Join(servers, ",")),
	}
	if args.Security.Enabled {
		env = append(env,
			pod.Value("KAFKA_TLS_CA_FILE", AuthorityFile),
			pod.Value("KAFKA_TLS_KEY_FILE", certificateFolder+"/"+CombinedKey),
			pod.Value("LISTENER", fmt.Sprintf("%s:%d", node(p, "$(POD_INDEX)"), p.mainPort())),
		)
	}
	return env
}

// guard is a native sidecar: it starts before the node, and stops after it.
func (args ClusterArgs) guard(p pool) corev1.ContainerArgs {
	var mounts corev1.VolumeMountArray
	if args.Security.Enabled {
		mounts = corev1.VolumeMountArray{pod.ReadOnlyMount(certificateVolume, certificateFolder)}
	}
	return corev1.ContainerArgs{
		Name:            pulumi.String(GuardName),
		Image:           pulumi.String(args.Guard.Image),
		ImagePullPolicy: pulumi.String("IfNotPresent"),
		RestartPolicy:   pulumi.String("Always"),
		Env:             pod.EnvVars(args.guardEnvironment(p)),
		Ports: corev1.ContainerPortArray{corev1.ContainerPortArgs{
			Name: pulumi.String(GuardPortName), ContainerPort: pulumi.Int(GuardPort),
		}},
		Resources:       args.Guard.Resources.Requirements(),
		SecurityContext: pod.ContainerSecurity(),
		VolumeMounts:    mounts,
		LivenessProbe:   guardProbe("/-/healthy", 10, 3),
	}
}

// guardProbe probes the guard, which may ask several brokers, each for some seconds.
func guardProbe(path string, period, failures int) *corev1.ProbeArgs {
	return &corev1.ProbeArgs{
		HttpGet:          &corev1.HTTPGetActionArgs{Path: pulumi.String(path), Port: pulumi.Int(GuardPort)},
		PeriodSeconds:    pulumi.Int(period),
		TimeoutSeconds:   pulumi.Int(10),
		FailureThreshold: pulumi.Int(failures),
	}
}
