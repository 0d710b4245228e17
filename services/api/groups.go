package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/kafkax"
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
	s.list(c, func(ctx context.Context) (any, error) { return s.cluster.groups(ctx) })
}

// groups lists the consumer groups with their members and their lag.
func (c *cluster) groups(ctx context.Context) ([]group, error) {
	groups, err := c.listGroups(ctx)
	if err != nil || len(groups) == 0 {
		return groups, err
	}
	topics, err := c.topics(ctx)
	if err != nil {
		return nil, err
	}
	names := map[[16]byte]string{}
	for _, t := range topics {
		names[t.TopicID] = *t.Topic
	}
	if err := c.describeGroups(ctx, groups, names); err != nil {
		return nil, err
	}
	if err := c.committed(ctx, groups); err != nil {
		return nil, err
	}
	// Committed offsets of deleted topics stay. Requesting the ends of such topics
	// would wait until they exist.
	wanted := map[place]bool{}
	for _, g := range groups {
		for _, p := range g.Partitions {
			wanted[place{p.Topic, p.Partition}] = true
		}
	}
	var places []place
	for _, t := range topics {
		for _, p := range t.Partitions {
			if wanted[place{*t.Topic, p.Partition}] && p.Leader >= 0 {
				places = append(places, place{*t.Topic, p.Partition})
			}
		}
	}
	ends, err := c.offsets(ctx, places, latest)
	if err != nil {
		return nil, err
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

// listGroups lists the consumer groups by name. Groups of other kinds, such as those of
// Kafka Connect, have neither partitions nor lag.
func (c *cluster) listGroups(ctx context.Context) ([]group, error) {
	var listed kadm.ListedGroups
	err := c.ask(ctx, "listing groups", func(ctx context.Context) (err error) {
		listed, err = c.admin.ListGroups(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	groups := []group{}
	for _, l := range listed.Sorted() {
		if l.ProtocolType != "" && l.ProtocolType != "consumer" {
			continue
		}
		protocol := strings.ToLower(l.GroupType)
		if protocol != kafkax.ProtocolClassic && protocol != kafkax.ProtocolConsumer {
			protocol = "unknown" // brokers before Kafka 3.8 don't say
		}
		groups = append(groups, group{Group: l.Group, State: cmp.Or(l.State, "Unknown"), Protocol: protocol, Partitions: []groupPartition{}, Consumers: []consumer{}})
	}
	return groups, nil
}

// describeGroups adds the members. There is a request for each of the protocols. A group
// that can't be described, such as one deleted meanwhile, keeps what the list says. The
// names are those of topics by their ids.
func (c *cluster) describeGroups(ctx context.Context, groups []group, names map[[16]byte]string) error {
	classic, modern := kmsg.NewPtrDescribeGroupsRequest(), kmsg.NewPtrConsumerGroupDescribeRequest()
	for _, g := range groups {
		if g.Protocol == kafkax.ProtocolConsumer {
			modern.Groups = append(modern.Groups, g.Group)
		} else {
			classic.Groups = append(classic.Groups, g.Group)
		}
	}
	consumers := map[string][]consumer{}
	err := c.ask(ctx, "describing groups", func(ctx context.Context) error {
		var shards []kgo.ResponseShard
		if len(classic.Groups) > 0 {
			shards = c.client.RequestSharded(ctx, classic)
		}
		if len(modern.Groups) > 0 {
			shards = append(shards, c.client.RequestSharded(ctx, modern)...)
		}
		for _, shard := range shards {
			if shard.Err != nil {
				return shard.Err
			}
			switch answer := shard.Resp.(type) {
			case *kmsg.DescribeGroupsResponse:
				for _, g := range answer.Groups {
					for _, m := range g.Members {
						var assigned kmsg.ConsumerMemberAssignment
						if err := assigned.ReadFrom(m.MemberAssignment); err != nil {
							assigned = kmsg.ConsumerMemberAssignment{} // none yet
						}
						of := newConsumer(m.MemberID, m.InstanceID, m.ClientID, m.ClientHost)
						for _, t := range assigned.Topics {
							of.assign(t.Topic, t.Partitions)
						}
						consumers[g.Group] = append(consumers[g.Group], of)
					}
				}
			case *kmsg.ConsumerGroupDescribeResponse:
				for _, g := range answer.Groups {
					for _, m := range g.Members {
						of := newConsumer(m.MemberID, m.InstanceID, m.ClientID, m.ClientHost)
						for _, t := range m.Assignment.TopicPartitions {
							// The embedded broker gives ids only; a deleted topic has no name at all.
							if name := cmp.Or(t.Topic, names[t.TopicID]); name != "" {
								of.assign(name, t.Partitions)
							}
						}
						consumers[g.Group] = append(consumers[g.Group], of)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range groups {
		g := &groups[i]
		g.Consumers = append(g.Consumers, consumers[g.Group]...)
		g.Members = len(g.Consumers)
		slices.SortFunc(g.Consumers, func(a, b consumer) int {
			return cmp.Or(cmp.Compare(a.ClientID, b.ClientID), cmp.Compare(a.ID, b.ID))
		})
	}
	return nil
}

func newConsumer(id string, instance *string, clientID, host string) consumer {
	c := consumer{
		ID: id, ClientID: clientID,
		Host:       strings.TrimPrefix(host, "/"), // Java writes an address without a host name with a slash
		Partitions: []assignedPartition{},
	}
	if instance != nil {
		c.InstanceID = *instance
	}
	return c
}

// assign adds partitions of a topic, and keeps them sorted.
func (c *consumer) assign(topic string, partitions []int32) {
	for _, p := range partitions {
		c.Partitions = append(c.Partitions, assignedPartition{Topic: topic, Partition: p})
	}
	slices.SortFunc(c.Partitions, func(a, b assignedPartition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
}

// committed sets the groups' partitions: those with a committed offset, and those that
// are assigned without one.
func (c *cluster) committed(ctx context.Context, groups []group) error {
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = g.Group
	}
	var fetched kadm.FetchOffsetsResponses
	err := c.ask(ctx, "listing the offsets of groups", func(ctx context.Context) error {
		fetched = c.admin.FetchManyOffsets(ctx, names...)
		for _, of := range fetched {
			// Deleted meanwhile, or a type of group that commits nothing.
			if of.Err != nil && !errors.Is(of.Err, kerr.GroupIDNotFound) {
				return fmt.Errorf("group %s: %w", of.Group, of.Err)
			}
			if err := of.Fetched.Error(); err != nil {
				return fmt.Errorf("group %s: %w", of.Group, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range groups {
		groups[i].commit(fetched[groups[i].Group].Fetched)
	}
	return nil
}

func (g *group) commit(offsets kadm.OffsetResponses) {
	known := map[place]bool{}
	for _, o := range offsets.Sorted() {
		// By the id of a deleted topic, no name is found.
		if o.At >= 0 && o.Topic != "" {
			known[place{o.Topic, o.Partition}] = true
			g.Partitions = append(g.Partitions, groupPartition{Topic: o.Topic, Partition: o.Partition, Committed: &o.At})
		}
	}
	for _, m := range g.Consumers {
		for _, p := range m.Partitions {
			if at := (place{p.Topic, p.Partition}); !known[at] {
				known[at] = true
				g.Partitions = append(g.Partitions, groupPartition{Topic: p.Topic, Partition: p.Partition})
			}
		}
	}
	slices.SortFunc(g.Partitions, func(a, b groupPartition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
}
