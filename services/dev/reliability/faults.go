package main

import (
	"context"
	"math/rand/v2"
)

// fault is something that goes wrong, and is put right again, while the load
// goes on.
type fault struct {
	name string
	// inject makes it go wrong and right again; it returns when all is in
	// order as far as the fault is concerned. Recovery is the services' part.
	inject func(ctx context.Context, s *stage, random *rand.Rand) error
}

// faults lists what the soak draws from, and what each has its own test for.
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
		{"a broker's log directory goes away", loseDisk},
		{"a broker comes back with an empty disk", wipeBroker},
		{"partitions are added to all topics", addPartitions},

		{"the network is slow", slowNetwork},
		{"one broker is slow", slowBroker},
		{"packets are lost", losePackets},
		{"all connections are cut again and again", cutNetwork},
		{"a broker answers nobody", stallBroker},
		{"no broker can be reached", isolateBrokers},
		{"a broker is cut off from the others", partBroker},
		{"the active controller is cut off from the others", partController},

		{"consumers join and leave every second", rebalanceStorm},
		{"management-api is killed (-9)", kill("management-api")},
		{"the consumer is killed (-9)", kill("consumer")},
		{"web-server is killed (-9)", kill("web-server")},
		{"web-server restarts", restart("web-server")},
		{"consumers are replaced by a rolling update", redeploy},
		{"management-api freezes and another takes over", freezeMember("management-api")},
		{"the consumer freezes and another takes over", freezeMember("consumer", "TRANSACTIONAL_ID=consumer-heir")},
		{"the consumer is fenced by its own transactional id", fenceProducer},

		{"the database goes away and comes back", loseDatabase},
		{"the database is slow", slowDatabase},
		{"the database answers nobody", stallDatabase},
	}
}

// transactionalID is the consumer's.
const transactionalID = "consumer-0"
