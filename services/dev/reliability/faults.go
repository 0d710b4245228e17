package main

import (
	"context"
	"math/rand/v2"
)

// fault is something that goes wrong, and is then repaired, under load.
type fault struct {
	name string
	// inject causes the fault and repairs it. It returns when the environment is repaired;
	// recovering from it is the services' task.
	inject func(ctx context.Context, s *stage, random *rand.Rand) error
}

// faults lists the faults that the soak draws from. Each also has its own test.
func faults() []fault {
	return []fault{
		{"a broker is killed (-9) and comes back", killBroker},
		{"the active controller is killed (-9) and comes back", killController},
		{"the coordinators are killed (-9) and come back", killCoordinators},
		{"all brokers are killed (-9) at once", killAll},
		{"two of three brokers are down", twoDown},
		{"all brokers restart one at a time", rollBrokers},
		{"every partition gets another leader", moveLeaders},
		{"a broker freezes", freezeBroker},
		{"a broker's disk is full", fillDisk},
		{"all disks are full", fillAllDisks},
		{"a broker's log directory disappears", loseDisk},
		{"a broker comes back with an empty disk", wipeBroker},
		{"partitions are added to all topics", addPartitions},

		{"the network is slow", slowNetwork},
		{"one broker is slow", slowBroker},
		{"packets are lost", losePackets},
		{"all connections are cut repeatedly", cutNetwork},
		{"a broker doesn't answer", stallBroker},
		{"all brokers are unreachable", isolateBrokers},
		{"a broker is partitioned from the others", partBroker},
		{"the active controller is partitioned from the others", partController},

		{"consumers join and leave every second", rebalanceStorm},
		{"management-api is killed (-9)", kill("management-api")},
		{"the consumer is killed (-9)", kill("consumer")},
		{"web-server is killed (-9)", kill("web-server")},
		{"web-server restarts", restart("web-server")},
		{"consumers are replaced by a rolling update", redeploy},
		{"management-api freezes and another takes over", freezeMember("management-api")},
		{"the consumer freezes and another takes over", freezeMember("consumer", "TRANSACTIONAL_ID=consumer-heir")},
		{"the consumer is fenced by its own transactional id", fenceProducer},

		{"the database is unreachable and comes back", loseDatabase},
		{"the database is slow", slowDatabase},
		{"the database doesn't answer", stallDatabase},
	}
}

// transactionalID is the consumer's.
const transactionalID = "consumer-0"
