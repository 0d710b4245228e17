package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"shopstream/services/internal/retry"
)

const (
	// atOnce is how many partitions are moved together for each broker. They get their
	// new leaders once all of them have arrived, so load moves gradually too, and no
	// broker takes over many partitions at once.
	atOnce = 1

	// glance is the time between two checks of the moving partitions, and telling that
	// between two log lines about them.
	glance  = 300 * time.Millisecond
	telling = 10 * time.Second

	// stalled is how long moving partitions may make no progress.
	stalled = 5 * time.Minute
)

// mover moves the replicas of a cluster's partitions to where they belong. It keeps no
// state outside of the cluster, so the next run continues one that was interrupted.
type mover struct {
	client *kgo.Client
	admin  *kadm.Client
	log    *slog.Logger
	rate   int64 // bytes per second that each broker sends, and receives
}

func newMover(client *kgo.Client, log *slog.Logger, rate int64) *mover {
	return &mover{client: client, admin: kadm.NewClient(client), log: log, rate: rate}
}

// spread gives the brokers with ids below count a fair share of all partitions, and every
// other broker none. factor is the minimum number of replicas of each topic; Kafka's
// internal topics get as many as the topic in it with the most.
func (m *mover) spread(ctx context.Context, count int, factor map[string]int, timeout time.Duration) error {
	brokers, err := m.await(ctx, count, timeout)
	if err != nil {
		return err
	}
	if err := m.finish(ctx); err != nil { // what an earlier run has started
		return err
	}
	md, err := m.metadata(ctx)
	if err != nil {
		return err
	}
	now := replicas(md, factor)
	moves, err := place(brokers, now, factor)
	if err != nil {
		return err
	}
	if len(moves) > 0 {
		m.log.Info("moving partitions", "partitions", len(moves), "of", len(now), "brokers", count, "bytes_per_second", m.rate)
	}
	step, told := atOnce*count, time.Now()
	for done := 0; done < len(moves); done += step {
		batch := moves[done:min(done+step, len(moves))]
		if err := m.move(ctx, now, batch); err != nil {
			return err
		}
		if done+len(batch) == len(moves) || time.Since(told) > telling {
			told = time.Now()
			m.log.Info("moved partitions", "moved", done+len(batch), "of", len(moves))
		}
	}
	return m.unthrottle(ctx)
}

// ensureInternal has Kafka create its internal topics for groups and transactions if they
// don't exist yet. Kafka creates them with the number of replicas in the brokers' settings,
// which is that of the cluster at birth. Created after this run, they would keep it until
// the next one.
func (m *mover) ensureInternal(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not after TIMEOUT (%s)", timeout))
	defer cancel()
	for {
		groups, transactions := m.admin.FindGroupCoordinators(ctx, "topics"), m.admin.FindTxnCoordinators(ctx, "topics")
		md, err := m.metadata(ctx)
		if err == nil {
			own := 0
			for _, t := range md.Topics {
				if *t.Topic == "__consumer_offsets" || *t.Topic == "__transaction_state" {
					own++
				}
			}
			if own == 2 {
				return nil
			}
			err = errors.Join(groups.Error(), transactions.Error())
		}
		if !retry.Sleep(ctx, pause) {
			return fmt.Errorf("waiting for Kafka's internal topics: %w: %w", context.Cause(ctx), err)
		}
	}
}

// await waits for the brokers with ids below count.
func (m *mover) await(ctx context.Context, count int, timeout time.Duration) ([]node, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not up after TIMEOUT (%s)", timeout))
	defer cancel()
	for {
		md, err := m.metadata(ctx)
		var up []node
		if err == nil {
			for _, b := range md.Brokers {
				if int(b.NodeID) >= count {
					continue
				}
				n := node{id: b.NodeID}
				if b.Rack != nil {
					n.rack = *b.Rack
				}
				up = append(up, n)
			}
			if len(up) == count {
				return up, nil
			}
			err = fmt.Errorf("only %d of %d brokers are up", len(up), count)
		}
		if !retry.Sleep(ctx, pause) {
			return nil, fmt.Errorf("waiting for the brokers: %w: %w", context.Cause(ctx), err)
		}
	}
}

// metadata asks a broker. kadm would answer from its cache.
func (m *mover) metadata(ctx context.Context) (*kmsg.MetadataResponse, error) {
	md, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, m.client)
	if err != nil {
		return nil, fmt.Errorf("requesting the partitions' replicas: %w", err)
	}
	for _, t := range md.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, fmt.Errorf("requesting the replicas of %q: %w", *t.Topic, err)
		}
	}
	return md, nil
}

// replicas returns where all replicas are. It adds Kafka's internal topics to factor,
// with as many replicas as the topic in it with the most.
func replicas(md *kmsg.MetadataResponse, factor map[string]int) []partition {
	widest := 0
	for _, n := range factor {
		widest = max(widest, n)
	}
	var now []partition
	for _, t := range md.Topics {
		if t.IsInternal {
			factor[*t.Topic] = widest
		}
		for _, p := range t.Partitions {
			now = append(now, partition{topic: *t.Topic, number: p.Partition, replicas: p.Replicas})
		}
	}
	slices.SortFunc(now, func(a, b partition) int { return cmp.Or(cmp.Compare(a.topic, b.topic), int(a.number-b.number)) })
	return now
}

func ids(md *kmsg.MetadataResponse) []int32 {
	var list []int32
	for _, b := range md.Brokers {
		list = append(list, b.NodeID)
	}
	return list
}

// move moves a batch of partitions, and waits until they have arrived.
func (m *mover) move(ctx context.Context, now, batch []partition) error {
	if err := m.throttle(ctx, now, batch); err != nil {
		return err
	}
	var request kadm.AlterPartitionAssignmentsReq
	var elected kadm.TopicsSet
	for _, p := range batch {
		request.Assign(p.topic, p.number, p.replicas)
		elected.Add(p.topic, p.number)
	}
	responses, err := m.admin.AlterPartitionAssignments(ctx, request)
	if err != nil {
		return fmt.Errorf("moving partitions: %w", err)
	}
	var refused []error
	responses.Each(func(r kadm.AlterPartitionAssignmentsResponse) {
		if r.Err != nil {
			refused = append(refused, fmt.Errorf("moving partition %d of %q: %w %s", r.Partition, r.Topic, r.Err, r.ErrMessage))
		}
	})
	if len(refused) > 0 {
		return errors.Join(refused...)
	}
	if err := m.finish(ctx); err != nil {
		return err
	}
	return m.elect(ctx, elected)
}

// finish waits until no partition is being moved.
func (m *mover) finish(ctx context.Context) error {
	var last string
	told, changed := time.Now(), time.Now()
	for {
		under, err := m.underWay(ctx)
		switch {
		case err != nil:
			m.log.Debug("trying again", "error", err)
		case len(under) == 0:
			return nil
		default:
			arrived := m.arrived(ctx, under)
			if state := fmt.Sprint(len(under), arrived); state != last {
				last, changed = state, time.Now()
			}
			if time.Since(told) > telling {
				told = time.Now()
				m.log.Info("partitions are moving", "partitions", len(under), "bytes_arrived", arrived)
			}
		}
		if time.Since(changed) > stalled {
			return fmt.Errorf("no progress for %s: check that all brokers are up, and run it again to continue. These partitions are still moving: %v %w",
				stalled, under, err)
		}
		if !retry.Sleep(ctx, glance) {
			return fmt.Errorf("waiting for moving partitions: %w", context.Cause(ctx))
		}
	}
}

// way is a partition whose replicas are being added or removed.
type way struct {
	topic  string
	number int32
	adding []int32
}

func (m *mover) underWay(ctx context.Context) ([]way, error) {
	list, err := kmsg.NewPtrListPartitionReassignmentsRequest().RequestWith(ctx, m.client)
	if err == nil {
		err = kerr.ErrorForCode(list.ErrorCode)
	}
	if err != nil {
		return nil, fmt.Errorf("listing moving partitions: %w", err)
	}
	var ways []way
	for _, t := range list.Topics {
		for _, p := range t.Partitions {
			ways = append(ways, way{t.Topic, p.Partition, p.AddingReplicas})
		}
	}
	return ways, nil
}

// arrived returns how many bytes the new replicas have, for the log; 0 if that is
// unknown.
func (m *mover) arrived(ctx context.Context, ways []way) int64 {
	adding := map[string][]int32{}
	var topics kadm.TopicsSet
	for _, w := range ways {
		topics.Add(w.topic, w.number)
		adding[fmt.Sprint(w.topic, w.number)] = w.adding
	}
	dirs, _ := m.admin.DescribeAllLogDirs(ctx, topics)
	var bytes int64
	for id, of := range dirs {
		of.EachPartition(func(p kadm.DescribedLogDirPartition) {
			if slices.Contains(adding[fmt.Sprint(p.Topic, p.Partition)], id) {
				bytes += p.Size
			}
		})
	}
	return bytes
}

// elect makes each partition's first replica its leader.
func (m *mover) elect(ctx context.Context, these kadm.TopicsSet) error {
	results, err := m.admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, these)
	if err != nil {
		return fmt.Errorf("electing leaders: %w", err)
	}
	for topic, partitions := range results {
		for number, r := range partitions {
			if r.Err != nil && !errors.Is(r.Err, kerr.ElectionNotNeeded) {
				// The brokers retry this by themselves every five minutes.
				m.log.Warn("the preferred leader was not elected", "topic", topic, "partition", number, "error", r.Err)
			}
		}
	}
	return nil
}

const (
	leaderRate       = "leader.replication.throttled.rate"
	followerRate     = "follower.replication.throttled.rate"
	leaderReplicas   = "leader.replication.throttled.replicas"
	followerReplicas = "follower.replication.throttled.replicas"
)

// throttle limits the brokers' network and disk usage while a batch moves. It doesn't
// slow down replicas that are in sync.
func (m *mover) throttle(ctx context.Context, now, batch []partition) error {
	md, err := m.metadata(ctx)
	if err != nil {
		return fmt.Errorf("throttling: %w", err)
	}
	rate := strconv.FormatInt(m.rate, 10)
	if err := m.setBrokers(ctx, ids(md), set(leaderRate, rate), set(followerRate, rate)); err != nil {
		return err
	}
	was := map[string][]int32{}
	for _, p := range now {
		was[fmt.Sprint(p.topic, p.number)] = p.replicas
	}
	from, to := map[string][]string{}, map[string][]string{}
	for _, p := range batch {
		old := was[fmt.Sprint(p.topic, p.number)]
		for _, id := range old {
			from[p.topic] = append(from[p.topic], fmt.Sprintf("%d:%d", p.number, id))
		}
		for _, id := range p.replicas {
			if !slices.Contains(old, id) {
				to[p.topic] = append(to[p.topic], fmt.Sprintf("%d:%d", p.number, id))
			}
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(to)) {
		if err := m.setTopics(ctx, []string{topic}, set(leaderReplicas, from[topic]...), set(followerReplicas, to[topic]...)); err != nil {
			return err
		}
	}
	return nil
}

// unthrottle removes what throttle has set, in this run or in an interrupted one.
func (m *mover) unthrottle(ctx context.Context) error {
	md, err := m.metadata(ctx)
	if err != nil {
		return fmt.Errorf("removing the throttle: %w", err)
	}
	var all []string
	for _, t := range md.Topics {
		all = append(all, *t.Topic)
	}
	throttled, err := m.admin.DescribeTopicConfigs(ctx, all...)
	if err != nil {
		return fmt.Errorf("removing the throttle: %w", err)
	}
	var names []string
	for _, t := range throttled {
		for _, c := range t.Configs {
			if (c.Key == leaderReplicas || c.Key == followerReplicas) && c.MaybeValue() != "" {
				names = append(names, t.Name)
			}
		}
	}
	if len(names) > 0 {
		if err := m.setTopics(ctx, slices.Compact(names), unset(leaderReplicas), unset(followerReplicas)); err != nil {
			return err
		}
	}
	return m.setBrokers(ctx, ids(md), unset(leaderRate), unset(followerRate))
}
