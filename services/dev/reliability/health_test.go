package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"shopstream/services/internal/retry"
)

// The guards tell what is wrong with the brokers, and those that are left tell it of the
// one that is gone.
func TestGuardsTellWhatIsWrongWithTheBrokers(t *testing.T) {
	s := ownStage(t, manifestOrSkip(t), "")
	urls := startGuards(t, s)
	ctx := t.Context()
	admin, err := s.brokers.Admin()
	must(t, err)
	t.Cleanup(admin.Close)
	strict := "3"
	create := func(topic string, replicas int16, config map[string]*string) {
		t.Helper()
		_, err := admin.CreateTopic(ctx, 6, replicas, config, topic)
		must(t, err)
	}
	create("one-copy", 1, nil)
	create("all-copies", 3, map[string]*string{"min.insync.replicas": &strict})
	must(t, s.brokers.AwaitInSync(ctx))

	for _, url := range urls {
		awaitTold(t, url, func(told metrics) bool {
			return told.readable() && told["kafka_brokers"] == 3 && told["kafka_partitions"] > 12 &&
				told["kafka_partitions_under_replicated"] == 0 && told["kafka_partitions_under_min_isr"] == 0 && told["kafka_partitions_offline"] == 0 &&
				told["kafka_log_dirs_offline"] == 0 && told[`kafka_log_size_bytes{topic="__consumer_offsets"}`] > 0 &&
				told.sum("kafka_log_dir_usable_bytes") > 0 && told.sum("kafka_log_dir_total_bytes") > told.sum("kafka_log_dir_usable_bytes") &&
				told.sum("kafka_active_controller") == 1 && told.count("kafka_quorum_lag_seconds") == 3 && told.sum("kafka_quorum_lag_seconds") < 5 &&
				told[`kafka_feature_finalized_level{feature="metadata.version"}`] > 0 &&
				told[`kafka_feature_finalized_level{feature="metadata.version"}`] <= told[`kafka_feature_supported_level{feature="metadata.version"}`]
		})
	}

	gone, err := s.brokers.Controller(ctx) // of all the one whose end has the most consequences
	must(t, err)
	alone := alonePartitions(ctx, t, admin, gone)
	must(t, s.brokers.Kill(gone))
	for node, url := range urls {
		if node == gone {
			awaitTold(t, url, func(told metrics) bool {
				return told[`kafka_health_readable{part="partitions"}`] == 0 && told.count("kafka_partitions_offline") == 0 &&
					told[`kafka_health_readable{part="quorum"}`] == 1 // the others' controllers answer it too
			})
			continue
		}
		awaitTold(t, url, func(told metrics) bool {
			return told.readable() && told["kafka_brokers"] == 2 && told["kafka_partitions_under_replicated"] >= told["kafka_partitions"]-6 &&
				told[`kafka_replicas_out_of_sync{node="`+strconv.Itoa(gone)+`"}`] > 6 && told.count("kafka_replicas_out_of_sync") == 3 &&
				told["kafka_partitions_under_min_isr"] >= 6 && told["kafka_partitions_offline"] == alone &&
				told.sum("kafka_active_controller") == 1 && told[`kafka_active_controller{node="`+strconv.Itoa(gone)+`"}`] == 0 &&
				told[`kafka_quorum_lag_seconds{node="`+strconv.Itoa(gone)+`",role="voter"}`] > 30 // from then on QuorumLags waits
		})
	}
	record(t, "one-gone", urls)

	must(t, s.brokers.StartNode(gone))
	for _, url := range urls {
		awaitTold(t, url, func(told metrics) bool {
			return told.readable() && told["kafka_brokers"] == 3 && told["kafka_partitions_under_replicated"] == 0 &&
				told.sum("kafka_replicas_out_of_sync") == 0 && told["kafka_partitions_under_min_isr"] == 0 && told["kafka_partitions_offline"] == 0 && told.sum("kafka_quorum_lag_seconds") < 5
		})
	}
}

// alonePartitions counts the partitions whose only replica is on a node.
func alonePartitions(ctx context.Context, t *testing.T, admin *kadm.Client, node int) float64 {
	t.Helper()
	topics, err := admin.ListTopicsWithInternal(ctx)
	must(t, err)
	var alone float64
	topics.EachPartition(func(p kadm.PartitionDetail) {
		if len(p.Replicas) == 1 && p.Replicas[0] == int32(node) {
			alone++
		}
	})
	if alone == 0 {
		t.Fatalf("no partition has its only replica on node %d", node)
	}
	return alone
}

// metrics are those of a guard, by name and labels.
type metrics map[string]float64

// readable reports whether every part of the cluster's health was.
func (m metrics) readable() bool {
	return m.count("kafka_health_readable") > 0 && m.sum("kafka_health_readable") == m.count("kafka_health_readable")
}

func (m metrics) sum(name string) float64 {
	var sum float64
	for series, value := range m {
		if strings.HasPrefix(series, name+"{") {
			sum += value
		}
	}
	return sum
}

func (m metrics) count(name string) float64 {
	var count float64
	for series := range m {
		if series == name || strings.HasPrefix(series, name+"{") {
			count++
		}
	}
	return count
}

func readMetrics(ctx context.Context, url string) (metrics, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	told := metrics{}
	for line := range strings.Lines(string(body)) {
		series, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if value, err := strconv.ParseFloat(text, 64); err == nil {
			told[series] = value
		}
	}
	return told, nil
}

func awaitTold(t *testing.T, url string, expected func(metrics) bool) {
	t.Helper()
	var told metrics
	var err error
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); retry.Sleep(t.Context(), time.Second) {
		if told, err = readMetrics(t.Context(), url); err == nil && expected(told) {
			return
		}
	}
	for _, series := range slices.Sorted(maps.Keys(told)) {
		if strings.HasPrefix(series, "kafka_") {
			t.Log(series, told[series])
		}
	}
	t.Fatalf("%s doesn't tell what it should (%v)", url, err)
}

// recordedFolder is where the log directory is in the stack; here it is a temporary one.
const recordedFolder = `dir="/var/lib/kafka/data/kraft"`

// record keeps what the guards tell of the brokers, as Prometheus would know it, in the folder
// RECORDING if that is set: the tests of the alerts and the dashboards read infra/testdata/brokers.
func record(t *testing.T, state string, guards []string) {
	t.Helper()
	folder := os.Getenv("RECORDING")
	if folder == "" {
		return
	}
	var lines []string
	for node, guard := range guards {
		told, err := readMetrics(t.Context(), guard)
		must(t, err)
		for series, value := range told {
			name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
			if !strings.HasPrefix(name, "kafka_") {
				continue
			}
			labels = regexp.MustCompile(`dir="[^"]*"`).ReplaceAllString(labels, recordedFolder)
			if labels != "" {
				labels = "," + labels
			}
			lines = append(lines, fmt.Sprintf(`%s{pod="kafka-%d"%s} %s`, name, node, labels, strconv.FormatFloat(value, 'f', -1, 64)))
		}
	}
	slices.Sort(lines)
	text := fmt.Sprintf("# Recorded by %s (services/dev/reliability) from %d brokers of Apache Kafka.\n%s\n", t.Name(), len(guards), strings.Join(lines, "\n"))
	must(t, os.WriteFile(filepath.Join(folder, state+".prom"), []byte(text), 0o644))
}
