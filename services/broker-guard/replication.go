package main

import (
	"context"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// follower is a node that reads the cluster's metadata, and how far it is behind the
// active controller.
type follower struct {
	id      int32
	role    string // voter or observer
	active  bool
	records int64
	seconds float64
}

// replication returns all nodes, as the active controller knows them.
func (c *cluster) replication(ctx context.Context) ([]follower, error) {
	p, err := c.describeQuorum(ctx)
	if err != nil {
		return nil, err
	}
	return followers(p), nil
}

// followers compares all nodes with the active controller, by its own clock.
func followers(p kmsg.DescribeQuorumResponseTopicPartition) []follower {
	var end, now int64
	for _, r := range append(p.CurrentVoters[:len(p.CurrentVoters):len(p.CurrentVoters)], p.Observers...) {
		end, now = max(end, r.LogEndOffset), max(now, r.LastCaughtUpTimestamp)
	}
	var all []follower
	for role, replicas := range map[string][]kmsg.DescribeQuorumResponseTopicPartitionReplicaState{"voter": p.CurrentVoters, "observer": p.Observers} {
		for _, r := range replicas {
			f := follower{id: r.ReplicaID, role: role, active: r.ReplicaID == p.LeaderID, records: end - max(r.LogEndOffset, 0)}
			switch {
			case f.active: // older ones don't tell of themselves when
			case r.LastCaughtUpTimestamp < 0:
				f.seconds = math.Inf(1)
			default:
				f.seconds = (time.Duration(now-r.LastCaughtUpTimestamp) * time.Millisecond).Seconds()
			}
			all = append(all, f)
		}
	}
	return all
}
