package brokertest

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Member is a member of a group.
type Member struct {
	ID         string
	Partitions int // that it consumes
	modern     bool
}

// Members returns the members of a group, whatever its protocol, and whether it is
// stable: each has what it is to have.
func (k *Kafka) Members(ctx context.Context, group string) (members []Member, stable bool, err error) {
	modern, err := k.admin.DescribeConsumerGroups(ctx, group)
	if err != nil {
		return nil, false, err
	}
	if g := modern[group]; g.Err == nil {
		for _, m := range g.Members {
			one := Member{ID: m.MemberID, modern: true}
			m.Assignment.Each(func(string, int32) { one.Partitions++ })
			members = append(members, one)
		}
		return members, g.State == "Stable", nil
	}
	classic, err := k.admin.DescribeGroups(ctx, group)
	if err != nil {
		return nil, false, err
	}
	for _, m := range classic[group].Members {
		one := Member{ID: m.MemberID}
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, topic := range assigned.Topics {
				one.Partitions += len(topic.Partitions)
			}
		}
		members = append(members, one)
	}
	return members, classic[group].State == "Stable", nil
}

// Expel puts all members out of a group, as the coordinator does with those that were
// silent for the session timeout, and returns how many there were.
func (k *Kafka) Expel(ctx context.Context, group string) (int, error) {
	members, _, err := k.Members(ctx, group)
	if err != nil {
		return 0, err
	}
	for _, m := range members {
		if m.modern {
			request := kmsg.NewPtrConsumerGroupHeartbeatRequest()
			request.Group, request.MemberID, request.MemberEpoch = group, m.ID, -1 // it leaves
			_, err = request.RequestWith(ctx, k.client)
		} else {
			request := kmsg.NewPtrLeaveGroupRequest()
			member := kmsg.NewLeaveGroupRequestMember()
			member.MemberID = m.ID
			request.Group, request.Members = group, append(request.Members, member)
			_, err = request.RequestWith(ctx, k.client)
		}
		if err != nil {
			return 0, fmt.Errorf("putting %s out of %s: %w", m.ID, group, err)
		}
	}
	return len(members), nil
}
