package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/gin-gonic/gin"
)

// group is one consumer group as GET /groups shows it.
type group struct {
	Group      string           `json:"group"`
	State      string           `json:"state"`
	Protocol   string           `json:"protocol"` // classic, consumer (KIP-848), or unknown
	Members    int              `json:"members"`
	Lag        int64            `json:"lag"` // sum over the partitions with a known lag
	Partitions []groupPartition `json:"partitions"`
	Consumers  []consumer       `json:"consumers"`
}

// consumer is one member of a group.
type consumer struct {
	ID         string              `json:"id"`                   // assigned by the group
	InstanceID string              `json:"instanceId,omitempty"` // of a static member
	ClientID   string              `json:"clientId"`
	Host       string              `json:"host"`
	Lag        int64               `json:"lag"` // sum over the partitions with a known lag
	Partitions []assignedPartition `json:"partitions"`
}

// assignedPartition is one partition that a consumer is assigned.
type assignedPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Lag       *int64 `json:"lag"` // as in the group's partitions
}

// groupPartition is one partition that a group has committed or is assigned.
type groupPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed"` // null: no offset committed yet
	End       *int64 `json:"end"`       // null: the partition does not exist or has no leader
	Lag       *int64 `json:"lag"`       // null if one of these is
}

// groups answers GET /groups.
func (s *server) groups(c *gin.Context) {
	s.list(c, func(ctx context.Context, cl client) (any, error) { return listGroups(ctx, cl) })
}

func listGroups(ctx context.Context, c client) ([]group, error) {
	groups, err := c.groups(ctx)
	if err != nil {
		return nil, err
	}
	// Committed offsets of deleted topics stay. Requesting the ends of such topics
	// would wait until they exist.
	metadata, err := c.allTopics(ctx)
	if err != nil {
		return nil, err
	}
	wanted := map[place]bool{}
	for _, g := range groups {
		for _, p := range g.Partitions {
			wanted[place{p.Topic, p.Partition}] = true
		}
	}
	var places []place
	for _, t := range metadata {
		for _, p := range t.Partitions {
			if wanted[place{t.Topic, p.ID}] && p.Leader >= 0 {
				places = append(places, place{t.Topic, p.ID})
			}
		}
	}
	var ends map[place]int64
	if len(places) > 0 {
		if ends, err = c.offsets(ctx, places, kafka.LatestOffsetSpec, kafka.IsolationLevelReadUncommitted, false); err != nil {
			return nil, err
		}
	}
	for i := range groups {
		groups[i].measure(ends)
	}
	return groups, nil
}

// measure sets the ends and lags.
func (g *group) measure(ends map[place]int64) {
	lags := map[place]*int64{}
	for i := range g.Partitions {
		p := &g.Partitions[i]
		end, ok := ends[place{p.Topic, p.Partition}]
		if !ok {
			continue
		}
		p.End = &end
		if p.Committed != nil {
			lag := max(end-*p.Committed, 0)
			p.Lag = &lag
			g.Lag += lag
			lags[place{p.Topic, p.Partition}] = &lag
		}
	}
	for i := range g.Consumers {
		m := &g.Consumers[i]
		for j := range m.Partitions {
			p := &m.Partitions[j]
			if p.Lag = lags[place{p.Topic, p.Partition}]; p.Lag != nil {
				m.Lag += *p.Lag
			}
		}
	}
}

// groups lists the consumer groups with their members and committed offsets.
func (c client) groups(ctx context.Context) ([]group, error) {
	var listings []kafka.ConsumerGroupListing
	err := ask(ctx, "listing groups", func(ctx context.Context, timeout time.Duration) error {
		result, err := c.admin.ListConsumerGroups(ctx, kafka.SetAdminRequestTimeout(timeout))
		listings = result.Valid
		return errors.Join(append([]error{err}, result.Errors...)...)
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(listings, func(a, b kafka.ConsumerGroupListing) int { return cmp.Compare(a.GroupID, b.GroupID) })
	groups := make([]group, len(listings))
	names := make([]string, len(listings))
	for i, l := range listings {
		names[i] = l.GroupID
		groups[i] = group{Group: l.GroupID, State: l.State.String(), Protocol: strings.ToLower(l.Type.String()), Partitions: []groupPartition{}, Consumers: []consumer{}}
	}
	if len(groups) == 0 {
		return groups, nil
	}

	assigned := make([]map[place]bool, len(groups))
	err = ask(ctx, "describing groups", func(ctx context.Context, timeout time.Duration) error {
		result, err := c.admin.DescribeConsumerGroups(ctx, names, kafka.SetAdminRequestTimeout(timeout))
		if err != nil {
			return err
		}
		for _, d := range result.ConsumerGroupDescriptions {
			i := slices.Index(names, d.GroupID)
			if i < 0 || d.Error.Code() != kafka.ErrNoError {
				continue // a type of group that can't be described keeps what the list says
			}
			groups[i].Members = len(d.Members)
			assigned[i] = map[place]bool{}
			for _, m := range d.Members {
				for _, tp := range m.Assignment.TopicPartitions {
					assigned[i][place{*tp.Topic, tp.Partition}] = true
				}
				groups[i].Consumers = append(groups[i].Consumers, memberOf(m))
			}
			slices.SortFunc(groups[i].Consumers, func(a, b consumer) int {
				return cmp.Or(cmp.Compare(a.ClientID, b.ClientID), cmp.Compare(a.ID, b.ID))
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}

	// The client can request the offsets of one group at a time.
	var wg sync.WaitGroup
	turns := make(chan struct{}, 8)
	faults := make([]error, len(groups))
	for i := range groups {
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			faults[i] = c.committed(ctx, &groups[i], assigned[i])
		})
	}
	wg.Wait()
	return groups, errors.Join(faults...)
}

func memberOf(m kafka.MemberDescription) consumer {
	member := consumer{
		ID:         m.ConsumerID,
		InstanceID: m.GroupInstanceID,
		ClientID:   m.ClientID,
		Host:       strings.TrimPrefix(m.Host, "/"), // Java writes an address without a host name with a slash
		Partitions: []assignedPartition{},
	}
	for _, tp := range m.Assignment.TopicPartitions {
		member.Partitions = append(member.Partitions, assignedPartition{Topic: *tp.Topic, Partition: tp.Partition})
	}
	slices.SortFunc(member.Partitions, func(a, b assignedPartition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return member
}

// committed sets the group's partitions.
func (c client) committed(ctx context.Context, g *group, assigned map[place]bool) error {
	return ask(ctx, "listing the offsets of group "+g.Group, func(ctx context.Context, timeout time.Duration) error {
		result, err := c.admin.ListConsumerGroupOffsets(ctx,
			[]kafka.ConsumerGroupTopicPartitions{{Group: g.Group}}, kafka.SetAdminRequestTimeout(timeout))
		var ke kafka.Error
		if errors.As(err, &ke) && ke.Code() == kafka.ErrGroupIDNotFound {
			return nil // deleted meanwhile, or a type of group that commits nothing
		}
		if err != nil {
			return err
		}
		for _, of := range result.ConsumerGroupsTopicPartitions {
			for _, tp := range of.Partitions {
				if tp.Error != nil {
					return fmt.Errorf("partition %d of %s: %w", tp.Partition, *tp.Topic, tp.Error)
				}
				if tp.Offset < 0 {
					continue
				}
				offset := int64(tp.Offset)
				g.Partitions = append(g.Partitions, groupPartition{Topic: *tp.Topic, Partition: tp.Partition, Committed: &offset})
				delete(assigned, place{*tp.Topic, tp.Partition})
			}
		}
		for p := range assigned {
			g.Partitions = append(g.Partitions, groupPartition{Topic: p.topic, Partition: p.partition})
		}
		slices.SortFunc(g.Partitions, func(a, b groupPartition) int {
			return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
		})
		return nil
	})
}
