package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"shopstream/services/internal/retry"
)

func killBroker(ctx context.Context, s *stage, random *rand.Rand) error {
	return killNode(ctx, s, random.IntN(s.brokers.Nodes()))
}

func killNode(ctx context.Context, s *stage, node int) error {
	if err := s.brokers.Kill(node); err != nil {
		return err
	}
	retry.Sleep(ctx, 5*time.Second)
	if err := s.brokers.StartNode(node); err != nil {
		return err
	}
	return s.brokers.AwaitInSync(ctx)
}

func killController(ctx context.Context, s *stage, _ *rand.Rand) error {
	node, err := s.brokers.Controller(ctx)
	if err != nil {
		return err
	}
	return killNode(ctx, s, node)
}

// killCoordinators kills the coordinator of each group, and that of the consumer's
// transactions.
func killCoordinators(ctx context.Context, s *stage, _ *rand.Rand) error {
	for _, find := range []func(*kadm.Client) (int32, error){
		func(admin *kadm.Client) (int32, error) {
			found := admin.FindGroupCoordinators(ctx, "management-api-group")
			return found["management-api-group"].NodeID, found.Error()
		},
		func(admin *kadm.Client) (int32, error) {
			found := admin.FindGroupCoordinators(ctx, "consumer-service-group")
			return found["consumer-service-group"].NodeID, found.Error()
		},
		func(admin *kadm.Client) (int32, error) {
			found := admin.FindTxnCoordinators(ctx, transactionalID)
			return found[transactionalID].NodeID, found.Error()
		},
	} {
		admin, err := s.brokers.Admin()
		if err != nil {
			return err
		}
		id, err := find(admin)
		admin.Close()
		if err != nil {
			return fmt.Errorf("finding a coordinator: %w", err)
		}
		node, err := s.brokers.Node(id)
		if err != nil {
			return err
		}
		if err := killNode(ctx, s, node); err != nil {
			return err
		}
	}
	return nil
}

// moveLeaders moves the leader of every partition three times, including those of the
// internal topics for offsets and transactions.
func moveLeaders(ctx context.Context, s *stage, _ *rand.Rand) error {
	admin, err := s.brokers.Admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	for range 3 {
		topics, err := admin.ListTopicsWithInternal(ctx)
		if err != nil {
			return fmt.Errorf("listing the topics: %w", err)
		}
		// Rotate the replicas: an election prefers the first one.
		var assignments kadm.AlterPartitionAssignmentsReq
		preferred := make(kadm.TopicsSet)
		for _, topic := range topics {
			for _, p := range topic.Partitions {
				assignments.Assign(topic.Topic, p.Partition, append(p.Replicas[1:len(p.Replicas):len(p.Replicas)], p.Replicas[0]))
				preferred.Add(topic.Topic, p.Partition)
			}
		}
		changed, err := admin.AlterPartitionAssignments(ctx, assignments)
		if err == nil {
			err = changed.Error()
		}
		if err != nil {
			return fmt.Errorf("changing the preferred leaders: %w", err)
		}
		if _, err := admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, preferred); err != nil {
			return fmt.Errorf("electing the preferred leaders: %w", err)
		}
		retry.Sleep(ctx, 2*time.Second)
	}
	return nil
}

func rollBrokers(ctx context.Context, s *stage, _ *rand.Rand) error {
	for node := range s.brokers.Nodes() {
		if err := s.brokers.Stop(node); err != nil {
			return err
		}
		if err := s.brokers.StartNode(node); err != nil {
			return err
		}
		if err := s.brokers.AwaitBrokers(ctx, s.brokers.Nodes()); err != nil {
			return err
		}
		if err := s.brokers.AwaitInSync(ctx); err != nil {
			return err
		}
	}
	return nil
}

func killAll(ctx context.Context, s *stage, _ *rand.Rand) error {
	for node := range s.brokers.Nodes() {
		if err := s.brokers.Kill(node); err != nil {
			return err
		}
	}
	retry.Sleep(ctx, 3*time.Second)
	for node := range s.brokers.Nodes() {
		if err := s.brokers.StartNode(node); err != nil {
			return err
		}
	}
	return s.brokers.AwaitInSync(ctx)
}

func twoDown(ctx context.Context, s *stage, random *rand.Rand) error {
	survivor := random.IntN(s.brokers.Nodes())
	var down []int
	for node := range s.brokers.Nodes() {
		if node != survivor {
			down = append(down, node)
		}
	}
	for _, node := range down {
		if err := s.brokers.Kill(node); err != nil {
			return err
		}
	}
	retry.Sleep(ctx, 10*time.Second)
	for _, node := range down {
		if err := s.brokers.StartNode(node); err != nil {
			return err
		}
	}
	return s.brokers.AwaitInSync(ctx)
}

func freezeBroker(ctx context.Context, s *stage, random *rand.Rand) error {
	node := random.IntN(s.brokers.Nodes())
	if err := s.brokers.Pause(node); err != nil {
		return err
	}
	retry.Sleep(ctx, 15*time.Second) // longer than the broker's session timeout
	if err := s.brokers.Resume(node); err != nil {
		return err
	}
	return s.brokers.AwaitInSync(ctx)
}

// fillDisks makes every write of these nodes fail.
func fillDisks(ctx context.Context, s *stage, nodes ...int) error {
	for _, node := range nodes {
		if err := s.brokers.LimitFileSize(node, 0); err != nil {
			return err
		}
	}
	retry.Sleep(ctx, 8*time.Second)
	// A broker whose only log directory has failed ends by itself. In any case it is
	// restarted, as its pod would be, with room on the disk.
	for _, node := range nodes {
		if err := errors.Join(s.brokers.Kill(node), s.brokers.StartNode(node)); err != nil {
			return err
		}
	}
	return s.brokers.AwaitInSync(ctx)
}

func fillDisk(ctx context.Context, s *stage, random *rand.Rand) error {
	return fillDisks(ctx, s, random.IntN(s.brokers.Nodes()))
}

func fillAllDisks(ctx context.Context, s *stage, _ *rand.Rand) error {
	var all []int
	for node := range s.brokers.Nodes() {
		all = append(all, node)
	}
	return fillDisks(ctx, s, all...)
}

// loseDisk removes the log directory of a running broker and restores it, as if its
// volume was detached.
func loseDisk(ctx context.Context, s *stage, random *rand.Rand) error {
	node := random.IntN(s.brokers.Nodes())
	dir := s.brokers.DataDir(node)
	if err := os.Rename(dir, dir+".away"); err != nil {
		return fmt.Errorf("removing the log directory: %w", err)
	}
	retry.Sleep(ctx, 10*time.Second)
	if err := s.brokers.Kill(node); err != nil {
		return err
	}
	// Discard what the broker has created there meanwhile.
	if err := errors.Join(os.RemoveAll(dir), os.Rename(dir+".away", dir)); err != nil {
		return fmt.Errorf("restoring the log directory: %w", err)
	}
	if err := s.brokers.StartNode(node); err != nil {
		return err
	}
	return s.brokers.AwaitInSync(ctx)
}

// wipeBroker restarts a broker with a new volume.
func wipeBroker(ctx context.Context, s *stage, random *rand.Rand) error {
	node := random.IntN(s.brokers.Nodes())
	if err := s.brokers.Kill(node); err != nil {
		return err
	}
	if err := s.brokers.Wipe(ctx, node); err != nil {
		return err
	}
	if err := s.brokers.StartNode(node); err != nil {
		return err
	}
	return s.brokers.AwaitInSync(ctx)
}
