package main

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"

	"shopstream/infra/internal/kafka"
	"shopstream/infra/internal/mongo"
	"shopstream/infra/internal/pod"
)

// demand is what a number of equal pods ask for.
type demand struct {
	name      string
	pods      int
	resources pod.Resources
}

// demands returns what the platform asks for when nothing is scaled up, and the most that an update or a first start
// asks for on top: one more pod of a service, and the two Jobs.
func (c Config) demands() []demand {
	node := pod.Resources{CPU: c.Kafka.CPU, CPULimit: c.Kafka.CPULimit, Memory: kafka.Memory(c.Kafka.Heap)}
	list := []demand{
		{name: "kafka brokers", pods: c.Kafka.Brokers, resources: node},
		{name: "topics job", pods: 1, resources: topicsResources()},
	}
	if c.Kafka.Controllers > 0 {
		list = append(list, demand{name: "kafka controllers", pods: c.Kafka.Controllers, resources: node})
	}
	if !c.Mongo.External {
		list = append(list,
			demand{name: "mongodb", pods: c.Mongo.Members, resources: c.mongoResources()},
			demand{name: "mongodb job", pods: 1, resources: mongo.InitiateResources()},
		)
	}
	var largest pod.Resources
	for _, s := range c.services() {
		list = append(list, demand{name: s.name, pods: s.size.Min, resources: s.size.resources()})
		if s.size.Memory.Cmp(largest.Memory) > 0 {
			largest = s.size.resources()
		}
	}
	list = append(list, demand{name: "a service's update", pods: 1, resources: largest})
	for _, chart := range c.charts() {
		for _, d := range chart.Demands {
			list = append(list, demand{name: d.Name, pods: 1, resources: d.Resources})
		}
	}
	return list
}

func (c Config) mongoResources() pod.Resources {
	return pod.Resources{CPU: c.Mongo.CPU, CPULimit: c.Mongo.CPULimit, Memory: c.Mongo.Memory}
}

// total adds up demands.
func total(list []demand) (cpu, memory resource.Quantity) {
	for _, d := range list {
		for range d.pods {
			cpu.Add(d.resources.CPU)
			memory.Add(d.resources.Memory)
		}
	}
	return cpu, memory
}

// capacity is what the nodes have for the platform: all but what Kubernetes itself asks for on each.
func (c ClusterConfig) capacity() (cpu, memory resource.Quantity) {
	for range c.Nodes {
		cpu.Add(c.NodeCPU)
		cpu.Sub(quantity("750m"))
		memory.Add(c.NodeMemory)
		memory.Sub(quantity("512Mi"))
	}
	return cpu, memory
}

// validateBudget compares the two, so that a platform that can't fit fails before it is made and not as pods that wait
// for ever.
func (c Config) validateBudget() []error {
	needCPU, needMemory := total(c.demands())
	haveCPU, haveMemory := c.Cluster.capacity()
	var faults []error
	if needCPU.Cmp(haveCPU) > 0 {
		faults = append(faults, fault("cluster.nodeCpu",
			"the platform asks for %s CPUs and %d × %s leave %s: use bigger or more nodes, or the profile %q",
			needCPU.String(), c.Cluster.Nodes, c.Cluster.NodeCPU.String(), haveCPU.String(), profileSmall))
	}
	if needMemory.Cmp(haveMemory) > 0 {
		faults = append(faults, fault("cluster.nodeMemory",
			"the platform asks for %dMi of memory and %d × %s leave %dMi: use bigger or more nodes, or the profile %q",
			mebibytes(needMemory), c.Cluster.Nodes, c.Cluster.NodeMemory.String(), mebibytes(haveMemory), profileSmall))
	}
	if largest := slices.MaxFunc(c.demands(), func(a, b demand) int {
		return a.resources.Memory.Cmp(b.resources.Memory)
	}); largest.resources.Memory.Cmp(c.Cluster.NodeMemory) > 0 {
		faults = append(faults, fault("cluster.nodeMemory", "one pod of %s needs %s and a node has %s",
			largest.name, largest.resources.Memory.String(), c.Cluster.NodeMemory.String()))
	}
	return faults
}

func mebibytes(q resource.Quantity) int64 { return q.Value() >> 20 }
