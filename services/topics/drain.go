package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// drain moves every replica from brokers that are to go to those that stay, which
// have the ids below count. It ends in an error unless nothing is left on them.
func (m *mover) drain(ctx context.Context, count int, timeout time.Duration) error {
	if count < 1 {
		return errors.New("BROKERS must say how many brokers stay")
	}
	if _, err := m.await(ctx, count, timeout); err != nil {
		return err
	}
	md, err := m.metadata(ctx)
	if err != nil {
		return fmt.Errorf("reading which brokers there are: %w", err)
	}
	leaving := slices.DeleteFunc(ids(md), func(id int32) bool { return int(id) < count })
	if err := m.cordon(ctx, leaving); err != nil {
		return err
	}
	if err := m.spread(ctx, count, map[string]int{}, timeout); err != nil {
		return err
	}
	if md, err = m.metadata(ctx); err != nil {
		return err
	}
	for _, p := range replicas(md, map[string]int{}) {
		for _, id := range p.replicas {
			if int(id) >= count {
				return fmt.Errorf("partition %d of %q has been put on broker %d meanwhile: run it again", p.number, p.topic, id)
			}
		}
	}
	m.log.Info("nothing is left on brokers that go", "brokers", leaving)
	return nil
}

// cordoned is a broker's setting that keeps new replicas from it (KIP-1066).
const cordoned = "cordoned.log.dirs"

// cordon keeps new replicas from brokers that are to go, where the cluster can: from
// Kafka 4.3 on, once its metadata.version is.
func (m *mover) cordon(ctx context.Context, ids []int32) error {
	for _, id := range ids {
		err := m.setBrokers(ctx, []int32{id}, set(cordoned, "*"))
		if errors.Is(err, kerr.InvalidConfig) || errors.Is(err, kerr.InvalidRequest) || errors.Is(err, kerr.UnsupportedVersion) {
			m.log.Warn("this broker can't be cordoned: create no topics meanwhile", "broker", id, "error", err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// uncordon takes that back from brokers that stay after all.
func (m *mover) uncordon(ctx context.Context, count int, timeout time.Duration) error {
	brokers, err := m.await(ctx, count, timeout)
	if err != nil {
		return err
	}
	for _, b := range brokers {
		configs, err := m.admin.DescribeBrokerConfigs(ctx, b.id)
		if err != nil {
			return fmt.Errorf("reading the settings of broker %d: %w", b.id, err)
		}
		for _, c := range configs {
			for _, entry := range c.Configs {
				if entry.Key != cordoned || entry.Source != kmsg.ConfigSourceDynamicBrokerConfig || entry.MaybeValue() == "" {
					continue
				}
				if err := m.setBrokers(ctx, []int32{b.id}, unset(cordoned)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// forget unregisters brokers that are gone and are not to come back.
func (m *mover) forget(ctx context.Context, count int) error {
	request := kmsg.NewPtrDescribeClusterRequest()
	request.IncludeFencedBrokers = true
	known, err := request.RequestWith(ctx, m.client)
	if err == nil {
		err = kerr.ErrorForCode(known.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("reading which brokers are registered: %w", err)
	}
	for _, b := range known.Brokers {
		if int(b.NodeID) < count || !b.IsFenced {
			continue
		}
		request := kmsg.NewPtrUnregisterBrokerRequest()
		request.BrokerID = b.NodeID
		response, err := request.RequestWith(ctx, m.client)
		if err == nil {
			err = kerr.ErrorForCode(response.ErrorCode)
		}
		if err != nil && !errors.Is(err, kerr.BrokerIDNotRegistered) {
			return fmt.Errorf("unregistering broker %d: %w", b.NodeID, err)
		}
		// What is set on the broker stays when it is unregistered, and would hold for
		// another one with its id.
		_, _ = m.admin.AlterBrokerConfigs(ctx, []kadm.AlterConfig{unset(cordoned), unset(leaderRate), unset(followerRate)}, b.NodeID)
		m.log.Info("unregistered a broker that is gone", "broker", strconv.Itoa(int(b.NodeID)))
	}
	return nil
}
