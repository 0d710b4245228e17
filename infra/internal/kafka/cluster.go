package kafka

import (
	"fmt"
	"slices"

	appsv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apps/v1"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	policyv1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/policy/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/label"
	"shopstream/infra/internal/namespace"
	"shopstream/infra/internal/netpol"
	"shopstream/infra/internal/pod"
	"shopstream/infra/internal/volume"
)

// user is the image's appuser.
const user = 1000

// ClusterArgs describes a Kafka cluster.
type ClusterArgs struct {
	Namespace     *namespace.Namespace
	ClusterDomain string
	Image         string
	Topology      Topology

	// ClusterID is 22 characters, the same on every node.
	ClusterID string

	// Heap is the size of each broker's heap. The container gets twice as much: for the JVM's memory outside of the heap,
	// and for the page cache, from which Kafka serves consumers.
	Heap     resource.Quantity
	CPU      resource.Quantity
	CPULimit resource.Quantity

	StorageClass string
	StorageSize  resource.Quantity

	// DeleteVolumes deletes the volumes with the cluster.
	DeleteVolumes bool

	Security Security
	Guard    Guard

	// BrokerOptions are additional options of the brokers' StatefulSet.
	BrokerOptions []pulumi.ResourceOption

	// Zones spreads brokers and replicas over the zones of the cluster. Consumers then read from the replica in their
	// own zone.
	Zones bool
}

// Cluster is a Kafka cluster.
type Cluster struct {
	pulumi.ResourceState

	args ClusterArgs
}

// NewCluster declares a Kafka cluster.
func NewCluster(
	ctx *pulumi.Context, name string, args *ClusterArgs, opts ...pulumi.ResourceOption,
) (*Cluster, error) {
	c := &Cluster{args: *args}
	if err := args.Topology.Check(); err != nil {
		return nil, fmt.Errorf("checking kafka cluster %q: %w", name, err)
	}
	if err := ctx.RegisterComponentResource("shopstream:kafka:Cluster", name, c, opts...); err != nil {
		return nil, fmt.Errorf("registering kafka cluster %q: %w", name, err)
	}
	for _, p := range args.Topology.pools() {
		if err := c.provision(ctx, p); err != nil {
			return nil, err
		}
	}
	return c, ctx.RegisterResourceOutputs(c, pulumi.Map{"bootstrapServers": pulumi.String(args.Connection().BootstrapServers)})
}

// Hosts returns every host name of the nodes and of the cluster, for the certificate.
func Hosts(namespace, domain string) []string {
	return []string{
		fmt.Sprintf("%s.%s.svc.%s", Name, namespace, domain),
		fmt.Sprintf("*.%s.%s.svc.%s", pool{name: Name}.headless(), namespace, domain),
		fmt.Sprintf("*.%s.%s.svc.%s", pool{name: ControllerName}.headless(), namespace, domain),
	}
}

// Brokers returns the brokers as one end of a call.
func Brokers(namespace string) netpol.Peer {
	return netpol.Peer{Name: Name, Namespace: namespace, Labels: label.Selector(Name)}
}

// Nodes are all nodes of the cluster, as ends of calls: those of the brokers, and those of controllers of their own.
func (t Topology) Nodes(namespace string) []netpol.Peer {
	var nodes []netpol.Peer
	for _, p := range t.pools() {
		nodes = append(nodes, netpol.Peer{Name: p.name, Namespace: namespace, Labels: label.Selector(p.name)})
	}
	return nodes
}

// Calls returns who calls whom inside the cluster.
func (t Topology) Calls(namespace string) []netpol.Call {
	brokers := Brokers(namespace)
	if t.Controllers == 0 {
		return []netpol.Call{
			{From: brokers, To: brokers, Ports: netpol.TCP(ControllerPort, InternalPort), Why: "quorum and replication"},
			{From: brokers, To: brokers, Ports: netpol.TCP(GuardPort), Why: "the turn to restart"},
		}
	}
	controllers := netpol.Peer{Name: ControllerName, Namespace: namespace, Labels: label.Selector(ControllerName)}
	return []netpol.Call{
		{From: brokers, To: brokers, Ports: netpol.TCP(InternalPort), Why: "replication"},
		{From: brokers, To: controllers, Ports: netpol.TCP(ControllerPort), Why: "registration and metadata"},
		{From: controllers, To: controllers, Ports: netpol.TCP(ControllerPort), Why: "quorum"},
		{From: brokers, To: brokers, Ports: netpol.TCP(GuardPort), Why: "the turn to restart"},
		{From: controllers, To: controllers, Ports: netpol.TCP(GuardPort), Why: "the turn to restart"},
		{From: controllers, To: brokers, Ports: netpol.TCP(InternalPort), Why: "the state of the quorum, for a restart"},
	}
}

func (p pool) headless() string { return p.name + "-nodes" }

func (args ClusterArgs) domain(service string) string {
	return fmt.Sprintf("%s.%s.svc.%s", service, args.Namespace.Name, args.ClusterDomain)
}

// resources returns the requests and limits of each node's container.
func (args ClusterArgs) resources() pod.Resources {
	return pod.Resources{CPU: args.CPU, CPULimit: args.CPULimit, Memory: Memory(args.Heap)}
}

// roomForC2 is the heap, in bytes, from which on its container, twice as large, has room for Java's second compiler too.
const roomForC2 = 1 << 30

// Memory is the memory of a container for a heap of that size.
func Memory(heap resource.Quantity) resource.Quantity {
	return *resource.NewQuantity(2*heap.Value(), resource.BinarySI)
}

func (c *Cluster) provision(ctx *pulumi.Context, p pool) error {
	ns := c.args.Namespace
	meta := func(name string) *metav1.ObjectMetaArgs {
		return label.Meta(name, ns.Ref, label.Standard(p.name, "kafka"))
	}
	headless, err := corev1.NewService(ctx, p.headless(), &corev1.ServiceArgs{
		Metadata: meta(p.headless()),
		Spec: &corev1.ServiceSpecArgs{
			ClusterIP: pulumi.String("None"),
			Selector:  pulumi.ToStringMap(label.Selector(p.name)),
			// Nodes find each other by name before any of them can be ready: readiness needs the quorum.
			PublishNotReadyAddresses: pulumi.Bool(true),
			Ports:                    p.servicePorts(c.args.Security),
		},
	}, pulumi.Parent(c))
	if err != nil {
		return fmt.Errorf("creating service %q: %w", p.headless(), err)
	}

	options := slices.Concat([]pulumi.ResourceOption{
		pulumi.Parent(c), pulumi.DependsOn([]pulumi.Resource{headless}), volume.KeepTemplate(), rollTimeouts(),
	}, c.args.Guard.Options)
	if p.has(roleBroker) {
		options = append(options, c.args.BrokerOptions...)
	}
	set, err := appsv1.NewStatefulSet(ctx, p.name, &appsv1.StatefulSetArgs{
		Metadata: meta(p.name),
		Spec:     c.args.statefulSet(p),
	}, options...)
	if err != nil {
		return fmt.Errorf("creating stateful set %q: %w", p.name, err)
	}
	if err := c.args.claims(p).Grow(ctx, ns.Ref, set, pulumi.Parent(c)); err != nil {
		return err
	}

	_, err = policyv1.NewPodDisruptionBudget(ctx, p.name, &policyv1.PodDisruptionBudgetArgs{
		Metadata: meta(p.name),
		Spec: &policyv1.PodDisruptionBudgetSpecArgs{
			MaxUnavailable: pulumi.Int(1),
			Selector:       &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(label.Selector(p.name))},
		},
	}, pulumi.Parent(c))
	if err != nil {
		return fmt.Errorf("creating disruption budget %q: %w", p.name, err)
	}
	if !p.has(roleBroker) {
		return nil
	}

	_, err = corev1.NewService(ctx, p.name, &corev1.ServiceArgs{
		Metadata: meta(p.name),
		Spec: &corev1.ServiceSpecArgs{
			Selector: pulumi.ToStringMap(label.Selector(p.name)),
			Ports: corev1.ServicePortArray{corev1.ServicePortArgs{
				Name: pulumi.String("client"), Port: pulumi.Int(ClientPort), TargetPort: pulumi.Int(ClientPort),
			}},
		},
		// Created last, since pulumi waits for a service's first endpoint.
	}, pulumi.Parent(c), pulumi.DependsOn([]pulumi.Resource{set}))
	if err != nil {
		return fmt.Errorf("creating service %q: %w", p.name, err)
	}
	return nil
}

// rollTimeouts is how long an update waits for all nodes to restart. A roll that waits for a node that is down continues
// by itself once the node is back, but the update ends with an error before.
func rollTimeouts() pulumi.ResourceOption {
	return pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "10m", Update: "20m"})
}

func (p pool) servicePorts(s Security) corev1.ServicePortArray {
	ports := corev1.ServicePortArray{}
	for _, l := range listeners(s) {
		if p.has(l.role) {
			ports = append(ports, corev1.ServicePortArgs{
				Name: pulumi.String(l.portName()), Port: pulumi.Int(l.port), TargetPort: pulumi.Int(l.port),
			})
		}
	}
	return ports
}
