// Package kafka declares the Kafka cluster: KRaft brokers and controllers in StatefulSets, their addresses, and the
// Job that creates the topics.
package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Names and ports for clients and network policies.
const (
	Name           = "kafka"
	ControllerName = "kafka-controller"

	ClientPort     = 9092
	ControllerPort = 9093
	InternalPort   = 9094
)

// Topology is the number and the roles of the nodes. Everything that must agree with it (voters, ids, replication) is
// derived from it.
type Topology struct {
	Brokers int

	// Controllers is the number of separate controllers. If it is zero, the first brokers are controllers as well, which
	// is simpler and smaller, but rolls the quorum whenever the brokers roll.
	Controllers int

	// Voters is how many of the brokers are controllers as well, without separate controllers; zero stands for the largest
	// odd number of brokers up to three. It must stay what it was at first: all nodes have to know the same voters.
	Voters int
}

// Quorum is the number of controllers with a vote.
func (t Topology) Quorum() int {
	switch {
	case t.Controllers > 0:
		return t.Controllers
	case t.Voters > 0:
		return t.Voters
	case t.Brokers < 3:
		return 1
	}
	return 3
}

// Check reports what is wrong with the topology.
func (t Topology) Check() error {
	var errs []error
	if t.Brokers < 1 {
		errs = append(errs, fmt.Errorf("kafka.brokers: %d: set 1 or more", t.Brokers))
	}
	if t.Controllers != 0 && t.Voters != 0 {
		errs = append(errs, errors.New("kafka.voters: is set, but kafka.controllers is too: separate controllers are the voters, so set only one of the two"))
	}
	if t.Controllers == 0 && t.Brokers > 0 && t.Quorum() > t.Brokers {
		errs = append(errs, fmt.Errorf("kafka.voters: %d of %d brokers: set at most as many voters as brokers", t.Quorum(), t.Brokers))
	}
	if t.Quorum()%2 == 0 || t.Quorum() > 5 {
		key := "kafka.voters"
		if t.Controllers > 0 {
			key = "kafka.controllers"
		}
		errs = append(errs, fmt.Errorf("%s: %d: a quorum is odd, so set 1, 3 or 5", key, t.Quorum()))
	}
	return errors.Join(errs...)
}

// ReplicationFactor is the number of replicas of every partition.
func (t Topology) ReplicationFactor() int { return min(t.Brokers, 3) }

// DefaultReplicas is the number of replicas in the nodes' own settings. If brokers are controllers too, it follows from the
// number of voters, which never changes, so that no node restarts when brokers are added. The topics Job gives all topics,
// including Kafka's internal ones, as many replicas as ReplicationFactor.
func (t Topology) DefaultReplicas() int {
	if t.Controllers > 0 {
		return t.ReplicationFactor()
	}
	return min(t.Quorum(), 3)
}

// MinInSyncReplicas is how many of so many replicas must have a record before it is acknowledged: all but one, so that
// one broker may be down, for a restart or for good, without loss and without refused writes.
func MinInSyncReplicas(replicationFactor int) int { return max(replicationFactor-1, 1) }

// pool is a set of nodes with the same roles, one StatefulSet.
type pool struct {
	name  string
	roles []string
	count int

	// idPrefix is put before the pod's index to make the node id. Ids of two pools must differ.
	idPrefix string
}

func (p pool) has(role string) bool { return slices.Contains(p.roles, role) }

// mainPort is the port that shows whether a node of the pool serves others.
func (p pool) mainPort() int {
	if p.has(roleBroker) {
		return ClientPort
	}
	return ControllerPort
}

func (p pool) nodeID(index int) int {
	id, _ := strconv.Atoi(p.idPrefix + strconv.Itoa(index))
	return id
}

const (
	roleBroker     = "broker"
	roleController = "controller"
)

// pools returns the broker pool first.
func (t Topology) pools() []pool {
	if t.Controllers == 0 {
		return []pool{{name: Name, roles: []string{roleBroker, roleController}, count: t.Brokers}}
	}
	return []pool{
		{name: Name, roles: []string{roleBroker}, count: t.Brokers},
		// Controllers are 1000, 1001 …: brokers have the low ids, which appear in every listing.
		{name: ControllerName, roles: []string{roleController}, count: t.Controllers, idPrefix: "100"},
	}
}

// voters is the static quorum. The container image formats its storage without initial controllers, so the voters can't
// be dynamic. A static list must be the same on all nodes, in the same order.
func (t Topology) voters(address func(service, pod string) string) string {
	pools := t.pools()
	quorum := pools[len(pools)-1]
	voters := make([]string, t.Quorum())
	for i := range voters {
		host := address(quorum.headless(), fmt.Sprintf("%s-%d", quorum.name, i))
		voters[i] = fmt.Sprintf("%d@%s:%d", quorum.nodeID(i), host, ControllerPort)
	}
	return strings.Join(voters, ",")
}
