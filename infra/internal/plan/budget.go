package plan

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/config"
	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/mongo"
	"shopstream/infra/internal/pod"
)

// Demand is the resource request of a number of equal pods.
type Demand struct {
	Name      string
	Pods      int
	Resources pod.Resources
}

// Demands returns what the pods request at their minimum numbers, and what an update or a first start requests in
// addition: one more pod of a service, and the Jobs.
func Demands(c config.Config) []Demand {
	node := pod.Resources{CPU: c.Kafka.CPU, CPULimit: c.Kafka.CPULimit, Memory: kafka.Memory(c.Kafka.Heap)}
	node.CPU.Add(GuardResources().CPU)
	node.Memory.Add(GuardResources().Memory)
	list := []Demand{{Name: "topics job", Pods: 1, Resources: TopicsResources()}}
	if !c.Kafka.IsExternal() {
		list = append(list, Demand{Name: "drain job", Pods: 1, Resources: TopicsResources()})
		if c.Kafka.Finalize {
			list = append(list, Demand{Name: "finalize job", Pods: 1, Resources: TopicsResources()})
		}
		list = append(list, Demand{Name: "kafka brokers", Pods: c.Kafka.Brokers, Resources: node})
	}
	if c.Kafka.Controllers > 0 {
		list = append(list, Demand{Name: "kafka controllers", Pods: c.Kafka.Controllers, Resources: node})
	}
	if !c.Mongo.External {
		list = append(list,
			Demand{Name: "mongodb", Pods: c.Mongo.Members, Resources: MongoResources(c)},
			Demand{Name: "mongodb job", Pods: 1, Resources: mongo.InitiateResources()},
		)
	}
	if c.Mongo.Backups() {
		list = append(list, Demand{Name: "backup, drill and restore", Pods: 3, Resources: BackupResources()})
	}
	var largest pod.Resources
	for _, s := range Services(c) {
		list = append(list, Demand{Name: s.Name, Pods: s.Size.Min, Resources: s.Resources()})
		if s.Size.Memory.Cmp(largest.Memory) > 0 {
			largest = s.Resources()
		}
	}
	list = append(list, Demand{Name: "a service's update", Pods: 1, Resources: largest})
	for _, chart := range Charts(c) {
		for _, d := range chart.Demands {
			list = append(list, Demand{Name: d.Name, Pods: 1 + d.More, Resources: d.Resources})
		}
	}
	return list
}

// MongoResources returns the requests and limits of each member of the database.
func MongoResources(c config.Config) pod.Resources {
	return pod.Resources{CPU: c.Mongo.CPU, CPULimit: c.Mongo.CPULimit, Memory: c.Mongo.Memory}
}

// Total sums up demands.
func Total(list []Demand) (cpu, memory resource.Quantity) {
	for _, d := range list {
		cpu.Add(times(d.Resources.CPU, d.Pods))
		memory.Add(times(d.Resources.Memory, d.Pods))
	}
	return cpu, memory
}

// allocatable returns the nodes' resources for the platform: all but what Kubernetes itself needs on each.
func allocatable(c config.Cluster) (cpu, memory resource.Quantity) {
	cpu, memory = c.NodeCPU.DeepCopy(), c.NodeMemory.DeepCopy()
	cpu.Sub(resource.MustParse("750m"))
	memory.Sub(resource.MustParse("512Mi"))
	return times(cpu, c.Nodes), times(memory, c.Nodes)
}

func times(q resource.Quantity, n int) resource.Quantity {
	q = q.DeepCopy()
	q.Mul(int64(n))
	return q
}

// checkBudget compares what the platform requests with what the nodes have, so that a platform that doesn't fit fails in
// preview, and not with pending pods.
func checkBudget(c config.Config) []error {
	if c.Cluster.Nodes < 1 || c.Cluster.NodeCPU.Sign() <= 0 || c.Cluster.NodeMemory.Sign() <= 0 {
		return nil // reported already, and nothing would fit
	}
	needCPU, needMemory := Total(Demands(c))
	haveCPU, haveMemory := allocatable(c.Cluster)
	var faults []error
	if needCPU.Cmp(haveCPU) > 0 {
		faults = append(faults, config.Fault("cluster.nodeCpu",
			"the platform requests %s CPUs, but %d nodes of %s leave %s: use larger or more nodes, or the profile %q",
			needCPU.String(), c.Cluster.Nodes, c.Cluster.NodeCPU.String(), haveCPU.String(), config.Small))
	}
	if needMemory.Cmp(haveMemory) > 0 {
		faults = append(faults, config.Fault("cluster.nodeMemory",
			"the platform requests %dMi of memory, but %d nodes of %s leave %dMi: use larger or more nodes, or the profile %q",
			mebibytes(needMemory), c.Cluster.Nodes, c.Cluster.NodeMemory.String(), mebibytes(haveMemory), config.Small))
	}
	// The nodes together may have enough although no single one does.
	byMemory := slices.MaxFunc(Demands(c), func(a, b Demand) int { return a.Resources.Memory.Cmp(b.Resources.Memory) })
	if need := byMemory.Resources.Memory; need.Cmp(c.Cluster.NodeMemory) > 0 {
		faults = append(faults, config.Fault("cluster.nodeMemory", "a pod of %s requests %s, but a node has %s: use larger nodes, or lower its memory",
			byMemory.Name, need.String(), c.Cluster.NodeMemory.String()))
	}
	byCPU := slices.MaxFunc(Demands(c), func(a, b Demand) int { return a.Resources.CPU.Cmp(b.Resources.CPU) })
	if need := byCPU.Resources.CPU; need.Cmp(c.Cluster.NodeCPU) > 0 {
		faults = append(faults, config.Fault("cluster.nodeCpu", "a pod of %s requests %s CPUs, but a node has %s: use larger nodes, or lower its CPU request",
			byCPU.Name, need.String(), c.Cluster.NodeCPU.String()))
	}
	return faults
}

func mebibytes(q resource.Quantity) int64 { return q.Value() >> 20 }
