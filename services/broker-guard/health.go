package main

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// healthAge is how old an answer may be: however many read the metrics, the broker is
	// asked once in this time.
	healthAge = 10 * time.Second

	// healthTimeout is less than Prometheus waits for the metrics.
	healthTimeout = 2 * requestTimeout

	// topicsShown limits the series of a cluster with thousands of topics. The sizes of
	// the smaller ones are added up under a name that no topic can have.
	topicsShown = 100
	otherTopics = "(others)"
)

// health tells Prometheus of the cluster what the node's own broker knows, and of the
// broker what is on its disks. Each guard tells the whole, so that one that is gone hides
// nothing.
type health struct {
	cluster *cluster
	id      int32
	broker  bool // the node is one
	log     *slog.Logger

	mu    sync.Mutex
	read  time.Time
	known []prometheus.Metric

	readable, brokers, outOfSync                          *prometheus.Desc
	partitions, underReplicated, underMinISR, leaderless  *prometheus.Desc
	offlineDirs, sizes, usable, total                     *prometheus.Desc
	controller, lagRecords, lagSeconds, finalized, offers *prometheus.Desc
}

func newHealth(c *cluster, id int32, broker bool, log *slog.Logger) *health {
	return &health{
		cluster: c, id: id, broker: broker, log: log,
		readable:        prometheus.NewDesc("kafka_health_readable", "1 if the last request for this part of the cluster's health was answered, otherwise 0.", []string{"part"}, nil),
		brokers:         prometheus.NewDesc("kafka_brokers", "Brokers that are registered and not fenced, as the node's broker knows.", nil, nil),
		partitions:      prometheus.NewDesc("kafka_partitions", "Partitions of all topics.", nil, nil),
		underReplicated: prometheus.NewDesc("kafka_partitions_under_replicated", "Partitions with a replica that is not in sync, unless it is just being added.", nil, nil),
		outOfSync:       prometheus.NewDesc("kafka_replicas_out_of_sync", "Replicas of a node that are not in sync, unless they are just being added.", []string{"node"}, nil),
		underMinISR:     prometheus.NewDesc("kafka_partitions_under_min_isr", "Partitions with fewer replicas in sync than min.insync.replicas: they accept no writes.", nil, nil),
		leaderless:      prometheus.NewDesc("kafka_partitions_offline", "Partitions without a leader: they can be neither written nor read.", nil, nil),
		offlineDirs:     prometheus.NewDesc("kafka_log_dirs_offline", "Log directories that the broker can't use.", nil, nil),
		sizes:           prometheus.NewDesc("kafka_log_size_bytes", "Size on the broker's disks, by topic.", []string{"topic"}, nil),
		usable:          prometheus.NewDesc("kafka_log_dir_usable_bytes", "Free space for a log directory.", []string{"dir"}, nil),
		total:           prometheus.NewDesc("kafka_log_dir_total_bytes", "Size of a log directory's volume.", []string{"dir"}, nil),
		controller:      prometheus.NewDesc("kafka_active_controller", "Always 1; the label says which node is the active controller.", []string{"node"}, nil),
		lagRecords:      prometheus.NewDesc("kafka_quorum_lag_records", "Records of the cluster's metadata that a node is behind the active controller.", []string{"node", "role"}, nil),
		lagSeconds:      prometheus.NewDesc("kafka_quorum_lag_seconds", "How long ago a node had all of the cluster's metadata that the active controller has; +Inf if never.", []string{"node", "role"}, nil),
		finalized:       prometheus.NewDesc("kafka_feature_finalized_level", "Level of a feature that the cluster uses.", []string{"feature"}, nil),
		offers:          prometheus.NewDesc("kafka_feature_supported_level", "Highest level of a feature that the node's broker supports.", []string{"feature"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (h *health) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		h.readable, h.brokers, h.partitions, h.underReplicated, h.outOfSync, h.underMinISR, h.leaderless, h.offlineDirs, h.sizes,
		h.usable, h.total,
		h.controller, h.lagRecords, h.lagSeconds, h.finalized, h.offers,
	} {
		descriptions <- d
	}
}

// Collect implements prometheus.Collector.
func (h *health) Collect(metrics chan<- prometheus.Metric) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.read) >= healthAge {
		h.known, h.read = h.ask(), time.Now()
	}
	for _, m := range h.known {
		metrics <- m
	}
}

// ask requests all parts at once. A part that isn't answered is missing, and said to be.
func (h *health) ask() []prometheus.Metric {
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	parts := map[string]func(context.Context) ([]prometheus.Metric, error){"quorum": h.quorum}
	if h.broker {
		parts["partitions"], parts["disks"], parts["features"] = h.topics, h.disks, h.features
		if _, err := h.cluster.brokers(ctx); err != nil { // from then on the client knows the node's
			h.log.Warn("the cluster's health can't be read", "error", err)
		}
	}
	var (
		all  []prometheus.Metric
		mu   sync.Mutex
		wait sync.WaitGroup
	)
	for part, ask := range parts {
		wait.Go(func() {
			found, err := ask(ctx)
			answered := 1.0
			if err != nil {
				found, answered = nil, 0
				h.log.Warn("the cluster's health can't be read", "part", part, "error", err)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(append(all, found...), gauge(h.readable, answered, part))
		})
	}
	wait.Wait()
	return all
}

// topics counts the partitions by their state.
func (h *health) topics(ctx context.Context) ([]prometheus.Metric, error) {
	a, err := h.cluster.ask(ctx, h.id)
	if err != nil {
		return nil, err
	}
	v := view{answers: []answer{a}}
	if err := h.cluster.complete(ctx, &v); err != nil {
		return nil, err
	}
	var behind, under, leaderless float64
	outOfSync := map[int32]float64{}
	for _, p := range a.partitions {
		if p.leader < 0 {
			leaderless++
		}
		for _, node := range p.replicas {
			outOfSync[node] += 0 // a node without any is told of too
		}
		missing := without(p.replicas, append(slices.Clone(p.isr), p.adding...))
		for _, node := range missing {
			outOfSync[node]++
		}
		if len(missing) > 0 {
			behind++
		}
		if len(p.isr) < min(p.minISR, len(p.replicas)) {
			under++
		}
	}
	all := []prometheus.Metric{
		gauge(h.brokers, float64(len(a.brokers))),
		gauge(h.partitions, float64(len(a.partitions))),
		gauge(h.underReplicated, behind),
		gauge(h.underMinISR, under),
		gauge(h.leaderless, leaderless),
	}
	for node, count := range outOfSync {
		all = append(all, gauge(h.outOfSync, count, strconv.Itoa(int(node))))
	}
	return all, nil
}

// disks tells how much of the disks each topic takes, and what is left.
func (h *health) disks(ctx context.Context) ([]prometheus.Metric, error) {
	dirs, err := h.cluster.logDirs(ctx, h.id)
	if err != nil {
		return nil, err
	}
	var offline float64
	var all []prometheus.Metric
	sizes := map[string]int64{}
	for _, d := range dirs {
		if d.offline {
			offline++
			continue
		}
		if d.total >= 0 && d.usable >= 0 {
			all = append(all, gauge(h.usable, float64(d.usable), d.path), gauge(h.total, float64(d.total), d.path))
		}
		for topic, size := range d.topics {
			sizes[topic] += size
		}
	}
	for topic, size := range largest(sizes, topicsShown) {
		all = append(all, gauge(h.sizes, float64(size), topic))
	}
	return append(all, gauge(h.offlineDirs, offline)), nil
}

// largest returns the largest sizes, and the sum of the others.
func largest(sizes map[string]int64, count int) map[string]int64 {
	names := slices.SortedFunc(maps.Keys(sizes), func(a, b string) int {
		return cmp.Or(cmp.Compare(sizes[b], sizes[a]), cmp.Compare(a, b))
	})
	if len(names) <= count {
		return sizes
	}
	kept := map[string]int64{}
	for i, name := range names {
		if i >= count {
			name = otherTopics
		}
		kept[name] += sizes[names[i]]
	}
	return kept
}

// quorum tells which controller is active, and how far the other nodes are behind it.
func (h *health) quorum(ctx context.Context) ([]prometheus.Metric, error) {
	nodes, err := h.cluster.replication(ctx)
	if err != nil {
		return nil, err
	}
	var all []prometheus.Metric
	for _, n := range nodes {
		id := strconv.Itoa(int(n.id))
		if n.active {
			all = append(all, gauge(h.controller, 1, id))
		}
		all = append(all, gauge(h.lagRecords, float64(n.records), id, n.role), gauge(h.lagSeconds, n.seconds, id, n.role))
	}
	return all, nil
}

// features tells which levels of the cluster's features are in use, and which could be.
func (h *health) features(ctx context.Context) ([]prometheus.Metric, error) {
	l, err := h.cluster.features(ctx, h.id)
	if err != nil {
		return nil, err
	}
	var all []prometheus.Metric
	for name, level := range l.supported {
		all = append(all, gauge(h.offers, float64(level), name))
	}
	for name, level := range l.finalized {
		all = append(all, gauge(h.finalized, float64(level), name))
	}
	return all, nil
}

// gauge makes a metric. A wrong number of labels would show in every test.
func gauge(desc *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	m, err := prometheus.NewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	return m
}
