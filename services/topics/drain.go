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

	"shopstream/services/internal/retry"
)

// drain moves every replica from the brokers to be removed to those that stay, which have
// the ids below count. It fails unless no replica is left on the others.
func (m *mover) drain(ctx context.Context, count int, timeout time.Duration) error {
	if count < 1 {
		return errors.New("BROKERS is required: set how many brokers stay")
	}
	if _, err := m.await(ctx, count, timeout); err != nil {
		return err
	}
	md, err := m.metadata(ctx)
	if err != nil {
		return fmt.Errorf("listing the brokers: %w", err)
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
				return fmt.Errorf("partition %d of %q was placed on broker %d meanwhile: run it again", p.number, p.topic, id)
			}
		}
	}
	m.log.Info("the brokers to be removed have no replicas left", "brokers", leaving)
	return nil
}

// cordoned is a broker's setting that excludes it from new replicas (KIP-1066).
const cordoned = "cordoned.log.dirs"

// cordon excludes the brokers to be removed from new replicas, if the cluster supports
// it: from Kafka 4.3 on, once its metadata.version is finalized.
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

// uncordon reverses that for brokers that stay after all.
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

// forget unregisters brokers that are gone for good. It waits up to timeout for those that
// are still stopping.
func (m *mover) forget(ctx context.Context, count int, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		up, err := m.unregister(ctx, count)
		if err != nil || len(up) == 0 {
			return err
		}
		if !retry.Sleep(ctx, pause) {
			m.log.Warn("removed brokers are still up: the next run unregisters them", "brokers", up)
			return nil
		}
	}
}

// unregister unregisters the brokers that are down, and returns those that are up.
func (m *mover) unregister(ctx context.Context, count int) (up []int32, err error) {
	request := kmsg.NewPtrDescribeClusterRequest()
	request.IncludeFencedBrokers = true
	known, err := request.RequestWith(ctx, m.client)
	if err == nil {
		err = kerr.ErrorForCode(known.ErrorCode)
	}
	if err != nil {
		return nil, fmt.Errorf("listing the registered brokers: %w", err)
	}
	for _, b := range known.Brokers {
		switch {
		case int(b.NodeID) < count:
			continue
		case !b.IsFenced:
			up = append(up, b.NodeID)
			continue
		}
		request := kmsg.NewPtrUnregisterBrokerRequest()
		request.BrokerID = b.NodeID
		response, err := request.RequestWith(ctx, m.client)
		if err == nil {
			err = kerr.ErrorForCode(response.ErrorCode)
		}
		if err != nil && !errors.Is(err, kerr.BrokerIDNotRegistered) {
			return nil, fmt.Errorf("unregistering broker %d: %w", b.NodeID, err)
		}
		// A broker's settings stay when it is unregistered, and would apply to another one
		// with its id.
		_, _ = m.admin.AlterBrokerConfigs(ctx, []kadm.AlterConfig{unset(cordoned), unset(leaderRate), unset(followerRate)}, b.NodeID)
		m.log.Info("unregistered a removed broker", "broker", strconv.Itoa(int(b.NodeID)))
	}
	return up, nil
}
