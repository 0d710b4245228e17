// Package broker runs a Kafka broker in this process, for running the platform on one
// machine and for tests. It is kfake of twmb/franz-go, which speaks the real protocol
// (groups, transactions, admin), keeps one copy of the data and doesn't replicate.
package broker

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Options configure an embedded cluster.
type Options struct {
	// Ports to listen on at 127.0.0.1, one for each broker. If empty, there are Brokers
	// of them on free ports.
	Ports []int
	// Brokers is the number of brokers if Ports is empty; 0 means one.
	Brokers int
	// DataDir keeps the data over restarts. If empty, data is kept in memory.
	DataDir string
	// Config holds broker settings by their Kafka names, such as
	// log.cleaner.backoff.ms. May be nil.
	Config map[string]string
	// Log receives the broker's warnings, such as that the disk is full. May be nil.
	Log *slog.Logger
}

// Broker is a running embedded cluster.
type Broker struct {
	// Cluster is the fake itself, for tests that inject faults.
	Cluster *kfake.Cluster
}

// session is how long a group waits for a silent member.
const session = 5 * time.Second

// Start starts the cluster.
func Start(o Options) (*Broker, error) {
	opts := []kfake.Opt{
		kfake.ClusterID("shopstream-local"),
		kfake.DefaultNumPartitions(6),
		// As infra sets them for the brokers of a stack, and a soon heartbeat.
		kfake.BrokerConfigs(map[string]string{
			"group.consumer.session.timeout.ms":    strconv.FormatInt(session.Milliseconds(), 10),
			"group.consumer.heartbeat.interval.ms": "500",
		}),
		kfake.ListenFn(listen),
	}
	if len(o.Ports) > 0 {
		opts = append(opts, kfake.NumBrokers(len(o.Ports)), kfake.Ports(o.Ports...))
	} else {
		opts = append(opts, kfake.NumBrokers(max(o.Brokers, 1)))
	}
	if len(o.Config) > 0 {
		opts = append(opts, kfake.BrokerConfigs(o.Config))
	}
	if o.DataDir != "" {
		if err := forgetSilentMembers(o.DataDir, session, time.Now()); err != nil {
			return nil, fmt.Errorf("starting the embedded broker: %w", err)
		}
		opts = append(opts, kfake.DataDir(o.DataDir))
	}
	if o.Log != nil {
		opts = append(opts, kfake.WithLogger(logger{o.Log}))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, fmt.Errorf("starting the embedded broker: %w", err)
	}
	return &Broker{Cluster: cluster}, nil
}

// BootstrapServers is the list for a client's configuration.
func (b *Broker) BootstrapServers() string { return strings.Join(b.Cluster.ListenAddrs(), ",") }

// Close stops the cluster and flushes its data to disk.
func (b *Broker) Close() { b.Cluster.Close() }

type logger struct{ log *slog.Logger }

func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	if level <= kfake.LogLevelWarn {
		l.log.Warn("warning of the embedded broker", "detail", fmt.Sprintf(format, args...))
	}
}
