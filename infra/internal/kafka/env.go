package kafka

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/pod"
)

// dataDirectory is a folder of the volume and not its root, where Kafka would take a file system's lost+found for a
// corrupt partition.
const dataDirectory = "/var/lib/kafka/data/kraft"

// podIndex is the field with a pod's number in its StatefulSet.
const podIndex = "metadata.labels['apps.kubernetes.io/pod-index']"

// environment returns the whole configuration of a pool's nodes. The image turns every KAFKA_* variable into a broker
// setting, and with the first one it drops its own defaults, so every setting that matters is here.
func (args ClusterArgs) environment(p pool) []pod.Env {
	host := fmt.Sprintf("$(POD_NAME).%s", args.domain(p.headless()))
	bind, advertised, protocols := listenerValues(listeners(args.Security), p, host)
	replication := strconv.Itoa(args.Topology.DefaultReplicas())
	minISR := strconv.Itoa(MinInSyncReplicas(args.Topology.DefaultReplicas()))
	heap := args.Heap.Value() / (1 << 20)

	env := []pod.Env{
		pod.Field("POD_NAME", "metadata.name"),
		pod.Field("POD_INDEX", podIndex),
		pod.Value("CLUSTER_ID", args.ClusterID),
		pod.Value("KAFKA_HEAP_OPTS", fmt.Sprintf("-Xms%dm -Xmx%dm", heap, heap)),
		pod.Value("KAFKA_OPTS", javaOptions(args.Heap)),
		pod.Value("KAFKA_NODE_ID", p.idPrefix+"$(POD_INDEX)"),
		pod.Value("KAFKA_PROCESS_ROLES", strings.Join(p.roles, ",")),
		pod.Value("KAFKA_CONTROLLER_QUORUM_VOTERS", args.Topology.voters(func(service, pod string) string {
			return pod + "." + args.domain(service)
		})),
		pod.Value("KAFKA_LISTENERS", bind),
		pod.Value("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", protocols),
		pod.Value("KAFKA_CONTROLLER_LISTENER_NAMES", controllerListener),
		pod.Value("KAFKA_LOG_DIRS", dataDirectory),
		// The same on every node from the first start: the first controller makes it the cluster's value, and a broker
		// can't change it afterwards while eligible leader replicas are on.
		pod.Value("KAFKA_MIN_INSYNC_REPLICAS", minISR),
		pod.Value("KAFKA_DEFAULT_REPLICATION_FACTOR", replication),
		pod.Value("KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE", "false"),
		// How soon the controllers fence a broker that died without a shutdown. Until then, writes to its partitions wait.
		// Kafka's default is 9 s; as there, four heartbeats must be missed.
		pod.Value("KAFKA_BROKER_SESSION_TIMEOUT_MS", "6000"),
		pod.Value("KAFKA_BROKER_HEARTBEAT_INTERVAL_MS", "1500"),
		// Only declared topics exist.
		pod.Value("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false"),
	}
	network, io := threads(args.CPULimit)
	env = append(env,
		pod.Value("KAFKA_NUM_NETWORK_THREADS", strconv.Itoa(network)),
		pod.Value("KAFKA_NUM_IO_THREADS", strconv.Itoa(io)),
	)
	env = append(env, args.Security.environment()...)
	if !p.has(roleBroker) {
		return env
	}
	if p.has(roleController) {
		// The listeners of a broker without a vote.
		withoutVote, _, _ := listenerValues(listeners(args.Security), pool{roles: []string{roleBroker}}, host)
		env = append(env, pod.Value("BROKER_LISTENERS", withoutVote))
	}
	env = append(env,
		pod.Value("KAFKA_ADVERTISED_LISTENERS", advertised),
		pod.Value("KAFKA_INTER_BROKER_LISTENER_NAME", internalListener),
		pod.Value("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", replication),
		pod.Value("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", replication),
		pod.Value("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", minISR),
		pod.Value("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR", replication),
		pod.Value("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR", minISR),
		// How soon the partitions of a member of a consumer group that died are another's: five heartbeats are missed, and
		// the next one of the others tells them. Kafka's defaults are 45 s and 5 s.
		pod.Value("KAFKA_GROUP_CONSUMER_SESSION_TIMEOUT_MS", "5000"),
		pod.Value("KAFKA_GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS", "5000"),
		pod.Value("KAFKA_GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS", "1000"),
		pod.Value("KAFKA_GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS", "1000"),
		// How soon a transaction that is over its time is aborted: what it wrote holds up its readers. Kafka's default is 10 s.
		pod.Value("KAFKA_TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS", "1000"),
	)
	if args.Zones {
		env = append(env,
			// Replicas of a partition are placed in different zones.
			pod.Zone("KAFKA_BROKER_RACK"),
			// A consumer that names its zone reads from the replica there: traffic between zones is slower, and costs money.
			pod.Value("KAFKA_REPLICA_SELECTOR_CLASS", "org.apache.kafka.common.replica.RackAwareReplicaSelector"),
		)
	}
	return env
}

// ClusterID derives the 22 characters of a Kafka cluster's id from the stack, so that every node and every later run has
// the same one.
func ClusterID(project, stack string) string {
	sum := sha256.Sum256([]byte(project + "/" + stack))
	// Kafka rejects an id that begins with a dash, which a base64 text may.
	sum[0] &= 0x7f
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// threads returns how many threads read and write a listener's connections, and how many handle requests: together not many
// more than there are CPUs to run them, and Kafka's defaults, 3 and 8, at most. Each further one is another switch on the way
// of a request. On a node with two cores, three brokers took 1,500 purchases/s with a p50 of 0.2 s with one and two, of 0.3 s
// with two and two, and of 1.4 s with the defaults.
func threads(limit resource.Quantity) (network, io int) {
	cpus := max(2, int(limit.Value())) // rounded up
	return min((cpus+1)/2, 3), min(cpus, 8)
}

// javaOptions returns the options of a node's Java besides the size of its heap.
func javaOptions(heap resource.Quantity) string {
	// How many seconds Java caches an address. Its default is 30, in which a follower connects to the former address of a
	// broker that was restarted; if that one is made a leader meanwhile, its records have too few copies, and writes wait.
	options := "-Dsun.net.inetaddr.ttl=1"
	// While Java's second compiler (C2) optimizes some of Kafka's methods, it takes up to 350 MiB outside of the heap for a
	// fraction of a second. A container of 640 MiB with a heap of 320 was killed for it, and its successor as the
	// coordinator of the same group next. With the first compiler alone such a node takes 460 MiB at most.
	if heap.Value() < roomForC2 {
		options += " -XX:TieredStopAtLevel=1"
	}
	return options
}
