package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/kafkax"
)

// brokerList is the answer to GET /brokers.
type brokerList struct {
	ClusterID string `json:"clusterId"`
	// Controller is the node that leads the metadata quorum, which need not be a
	// broker; null if the service isn't allowed to know.
	Controller *int32           `json:"controller"`
	Features   map[string]int16 `json:"features"` // finalized features and their levels
	Brokers    []brokerInfo     `json:"brokers"`
}

// brokerInfo is one broker. A broker that partitions refer to but that is not part of
// the cluster now has no address.
type brokerInfo struct {
	ID         int32   `json:"id"`
	Up         bool    `json:"up"`
	Host       string  `json:"host"`
	Port       int32   `json:"port"`
	Rack       *string `json:"rack"`
	Controller bool    `json:"controller"`
	Version    string  `json:"version"`   // inferred from the API versions that it supports; "" if it did not answer
	Leaders    int     `json:"leaders"`   // partitions that it leads
	Replicas   int     `json:"replicas"`  // partitions that it holds
	OutOfSync  int     `json:"outOfSync"` // of these, behind their leader
}

// brokers answers GET /brokers.
func (s *server) brokers(c *gin.Context) {
	s.list(c, func(ctx context.Context) (any, error) { return s.cluster.brokers(ctx) })
}

func (c *cluster) brokers(ctx context.Context) (brokerList, error) {
	var metadata kadm.Metadata
	err := c.ask(ctx, "listing the brokers", func(ctx context.Context) (err error) {
		metadata, err = c.admin.Metadata(ctx)
		return err
	})
	if err != nil {
		return brokerList{}, err
	}
	// A broker that doesn't answer must not delay the others' answers. As with other
	// questions, a caller that leaves cancels nothing.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), kafkax.AnswerTimeout)
	defer cancel()
	versions, err := c.admin.ApiVersions(bounded)
	if err != nil {
		return brokerList{}, fmt.Errorf("requesting the brokers' API versions: %w: %w", errUnavailable, err)
	}
	list := brokerList{ClusterID: metadata.Cluster, Controller: c.controller(bounded, metadata, versions), Features: map[string]int16{}}

	found := map[int32]*brokerInfo{}
	of := func(id int32) *brokerInfo {
		if found[id] == nil {
			found[id] = &brokerInfo{ID: id}
		}
		return found[id]
	}
	for _, m := range metadata.Brokers {
		b := of(m.NodeID)
		b.Up, b.Host, b.Port, b.Rack = true, m.Host, m.Port, m.Rack
		answer, ok := versions[m.NodeID]
		if !ok || answer.Err != nil {
			continue
		}
		b.Version = answer.VersionGuess()
		for _, feature := range answer.Raw().FinalizedFeatures {
			list.Features[feature.Name] = feature.MaxVersionLevel
		}
	}
	metadata.Topics.EachPartition(func(p kadm.PartitionDetail) {
		if p.Leader >= 0 {
			of(p.Leader).Leaders++
		}
		for _, id := range p.Replicas {
			b := of(id)
			b.Replicas++
			if !slices.Contains(p.ISR, id) {
				b.OutOfSync++
			}
		}
	})
	for b := range maps.Values(found) {
		b.Controller = list.Controller != nil && *list.Controller == b.ID
		list.Brokers = append(list.Brokers, *b)
	}
	slices.SortFunc(list.Brokers, func(a, b brokerInfo) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

// controller returns the leader of the metadata quorum, or nil if Kafka's access list
// denies it to this service.
func (c *cluster) controller(ctx context.Context, metadata kadm.Metadata, versions kadm.BrokersApiVersions) *int32 {
	quorum := false
	for _, v := range versions {
		_, known := v.KeyMaxVersion(int16(kmsg.DescribeQuorum))
		quorum = quorum || known
	}
	if !quorum {
		// Without KRaft, any broker is the controller, and the metadata names it.
		return &metadata.Controller
	}
	request := kmsg.NewPtrDescribeQuorumRequest()
	request.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: "__cluster_metadata", Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{}}}}
	answer, err := request.RequestWith(ctx, c.client)
	if err != nil {
		return nil
	}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode == 0 && p.LeaderID >= 0 {
				return &p.LeaderID
			}
		}
	}
	return nil
}
