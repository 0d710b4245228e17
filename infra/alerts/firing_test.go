package alerts

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

const (
	reading    = `messages_read_duration_seconds_bucket{complete="true"`
	buying     = `http_request_duration_seconds_bucket{service="web-server",method="POST",route="/api/v1/buy"`
	storing    = `purchase_end_to_end_seconds_bucket{service="management-api"`
	accepted   = `http_requests_total{service="web-server",route="/buy",code="202"} 0+10x60`
	asked      = `http_requests_total{service="web-server",route="/buy",code="202"} 0+100x60`
	deployed   = `kube_deployment_status_replicas_available{namespace="shop",deployment="api"} 1x60`
	restarts   = `kube_pod_container_status_restarts_total{namespace="shop-data",`
	noneIsGone = `kube_statefulset_replicas{namespace="shop-data",statefulset="kafka"} 3x60`
)

// Each rule, with series that must make it fire within sixty samples and series that must not. The notation is promtool's,
// with one sample per minute unless the rule looks at more than an hour. Counters of the services begin with the values that the services start with, and a case adds what
// follows: a series that no service starts with is an error, unless it is marked as appearing later (_).
var cases = map[string]struct {
	every        time.Duration
	fires, rests [][]string
}{
	"KafkaUnreachable": {
		fires: [][]string{{}, {`dependency_up{dependency="kafka",pod="a"} 1x10 0x50`, `dependency_up{dependency="kafka",pod="b"} 1x20 0x40`}},
		rests: [][]string{{`dependency_up{dependency="kafka",pod="a"} 0x60`, `dependency_up{dependency="kafka",pod="b"} 1x60`}},
	},
	"KafkaBrokerMissing": {
		fires: [][]string{
			{noneIsGone, `kube_statefulset_status_replicas_ready{namespace="shop-data",statefulset="kafka"} 3x20 2x40`},
			{`kube_statefulset_replicas{namespace="shop-data",statefulset="kafka-controller"} 3x60`, `kube_statefulset_status_replicas_ready{namespace="shop-data",statefulset="kafka-controller"} 2x60`},
		},
		rests: [][]string{
			{noneIsGone, `kube_statefulset_status_replicas_ready{namespace="shop-data",statefulset="kafka"} 3x60`},
			{noneIsGone, `kube_statefulset_status_replicas_ready{namespace="shop-data",statefulset="kafka"} 3x20 2x3 3x37`}, // a restart
		},
	},
	"DatabaseUnreachable": {
		fires: [][]string{{`dependency_up{dependency="mongo"} 1x10 0x50`}, {}},
		rests: [][]string{{`dependency_up{dependency="mongo"} 1x60`}},
	},
	"DatabaseMemberMissing": {
		fires: [][]string{{`kube_statefulset_replicas{namespace="shop-data",statefulset="mongodb"} 3x60`, `kube_statefulset_status_replicas_ready{namespace="shop-data",statefulset="mongodb"} 2x60`}},
		rests: [][]string{{`kube_statefulset_replicas{namespace="shop-data",statefulset="mongodb"} 3x60`, `kube_statefulset_status_replicas_ready{namespace="shop-data",statefulset="mongodb"} 3x60`}},
	},
	"VolumeFillsUp": {
		fires: [][]string{{`kubelet_volume_stats_available_bytes{namespace="shop-data",persistentvolumeclaim="data-kafka-0"} 100-2x60`, `kubelet_volume_stats_capacity_bytes{namespace="shop-data",persistentvolumeclaim="data-kafka-0"} 100x60`}},
		rests: [][]string{{`kubelet_volume_stats_available_bytes{namespace="shop-data",persistentvolumeclaim="data-kafka-0"} 100-1x60`, `kubelet_volume_stats_capacity_bytes{namespace="shop-data",persistentvolumeclaim="data-kafka-0"} 100x60`}},
	},
	"BackupFails": {
		fires: [][]string{
			{`kube_cronjob_status_last_schedule_time{namespace="shop-data",cronjob="mongodb-backup"} -14000x60`, `kube_cronjob_status_last_successful_time{namespace="shop-data",cronjob="mongodb-backup"} -90000x60`},
			{`kube_cronjob_status_last_schedule_time{namespace="shop-data",cronjob="mongodb-drill"} -14000x60`}, // never succeeded
			{`kube_cronjob_next_schedule_time{namespace="shop-data",cronjob="mongodb-backup"} -14000x60`},       // not started
		},
		rests: [][]string{
			{`kube_cronjob_status_last_schedule_time{namespace="shop-data",cronjob="mongodb-backup"} -80000x60`, `kube_cronjob_status_last_successful_time{namespace="shop-data",cronjob="mongodb-backup"} -79000x60`, `kube_cronjob_next_schedule_time{namespace="shop-data",cronjob="mongodb-backup"} 6400x60`},
			{`kube_cronjob_status_last_schedule_time{namespace="shop-data",cronjob="mongodb-backup"} -5000x60`}, // running
			{`kube_cronjob_status_last_schedule_time{namespace="elsewhere",cronjob="report"} -14000x60`},
			{},
		},
	},
	"KafkaHealthUnknown": {
		fires: [][]string{
			{},
			{`kafka_health_readable{part="quorum",pod="kafka-0"} 1x10 0x50`, `kafka_health_readable{part="disks",pod="kafka-0"} 1x60`},
		},
		rests: [][]string{
			{`kafka_health_readable{part="disks",pod="kafka-0"} 0x60`, `kafka_health_readable{part="disks",pod="kafka-1"} 1x60`}, // its broker is down, and another tells
			{`kafka_health_readable{part="quorum",pod="kafka-0"} 1x10 0x4 1x46`},                                                 // an election
		},
	},
	"PartitionsOffline": {
		fires: [][]string{{`kafka_partitions_offline{pod="kafka-0"} 0x10 3x50`}, {`kafka_partitions_offline{pod="kafka-0"} 0x10`, `kafka_partitions_offline{pod="kafka-1"} 0x20 1x40`}},
		rests: [][]string{{`kafka_partitions_offline{pod="kafka-0"} 0x10 3 0x49`}, {}},
	},
	"PartitionsUnderMinISR": {
		fires: [][]string{{`kafka_partitions_under_min_isr{pod="kafka-0"} 0x10 3x50`, `kafka_partitions_under_min_isr{pod="kafka-1"} 0x60`}},
		rests: [][]string{{`kafka_partitions_under_min_isr{pod="kafka-0"} 0x10 3 0x49`}, {}},
	},
	"PartitionsUnderReplicated": {
		fires: [][]string{
			{`kafka_replicas_out_of_sync{node="1",pod="kafka-0"} 0x10 9x6 0x43`},
			{`kafka_replicas_out_of_sync{node="0",pod="kafka-2"} 9x3`, `kafka_replicas_out_of_sync{node="0",pod="kafka-1"} 9x60`}, // a guard is gone too
		},
		rests: [][]string{
			{`kafka_replicas_out_of_sync{node="1",pod="kafka-0"} 0x10 9x3 0x46`}, // a restart
			{ // a roll, in which each broker restarts as soon as the one before is back
				`kafka_replicas_out_of_sync{node="0",pod="kafka-0"} 0x10 9x3 0x46`,
				`kafka_replicas_out_of_sync{node="1",pod="kafka-0"} 0x14 9x3 0x42`,
				`kafka_replicas_out_of_sync{node="2",pod="kafka-0"} 0x18 9x3 0x38`,
			},
			{`kafka_replicas_out_of_sync{node="1",pod="kafka-0"} 0x60`},
		},
	},
	"KafkaRestarts": {
		fires: [][]string{
			{restarts + `pod="kafka-1",container="kafka",uid="a"} 0x10 1x3 2x3 3x43`}, // frozen and restarted by its liveness probe
			{restarts + `pod="kafka-1",container="kafka",uid="a"} 4x10 5x9 6x9 7x30`},
		},
		rests: [][]string{
			{restarts + `pod="kafka-1",container="kafka",uid="a"} 0x10 1x3 2x46`},
			{restarts + `pod="kafka-1",container="kafka",uid="a"} 0x5 1x19 2x19 3x15`}, // three in an hour
			{restarts + `pod="kafka-0",container="kafka",uid="a"} 0x5 1x54`, restarts + `pod="kafka-1",container="kafka",uid="b"} 0x9 1x50`, restarts + `pod="kafka-2",container="kafka",uid="c"} 0x13 1x46`},
			{restarts + `pod="mongodb-0",container="mongodb",uid="a"} 0+1x60`},
			{restarts + `pod="kafka-1",container="kafka",uid="a"} 7x20 stale`, restarts + `pod="kafka-1",container="kafka",uid="b"} _x21 0x39`}, // a new pod
		},
	},
	"ContainerRestarts": {
		fires: [][]string{
			{restarts + `pod="mongodb-0",container="mongodb",uid="a"} 0x10 1x3 2x3 3x43`},
			{`kube_pod_container_status_restarts_total{namespace="shop",pod="api-1",container="api",uid="a"} 0+1x60`},
		},
		rests: [][]string{
			{restarts + `pod="mongodb-0",container="mongodb",uid="a"} 0x10 1x3 2x46`},
			{`kube_pod_container_status_restarts_total{namespace="elsewhere",pod="x",container="x",uid="a"} 0+1x60`},
			{restarts + `pod="kafka-1",container="kafka",uid="a"} 0+1x60`}, // KafkaRestarts
		},
	},
	"LogDirOffline": {
		fires: [][]string{{`kafka_log_dirs_offline{pod="kafka-0"} 0x10 1x50`, `kafka_log_dirs_offline{pod="kafka-1"} 0x60`}},
		rests: [][]string{{`kafka_log_dirs_offline{pod="kafka-0"} 0x60`}},
	},
	"KafkaDiskFillsUp": {
		fires: [][]string{{`kafka_log_dir_usable_bytes{pod="kafka-0",dir="/data"} 100-2x60`, `kafka_log_dir_total_bytes{pod="kafka-0",dir="/data"} 100x60`}},
		rests: [][]string{{`kafka_log_dir_usable_bytes{pod="kafka-0",dir="/data"} 100-1x60`, `kafka_log_dir_total_bytes{pod="kafka-0",dir="/data"} 100x60`}, {}},
	},
	"ActiveController": {
		fires: [][]string{
			{`kafka_active_controller{node="0",pod="kafka-0"} 1x10`},
			{`kafka_active_controller{node="0",pod="kafka-0"} 1x60`, `kafka_active_controller{node="1",pod="kafka-1"} 1x60`},
		},
		rests: [][]string{
			{`kafka_active_controller{node="0",pod="kafka-0"} 1x10`, `kafka_active_controller{node="0",pod="kafka-1"} 1x60`}, // a guard is gone
			{ // it moves
				`kafka_active_controller{node="0",pod="kafka-0"} 1x10 stale`, `kafka_active_controller{node="1",pod="kafka-0"} _x11 1x48`,
				`kafka_active_controller{node="0",pod="kafka-1"} 1x11 stale`, `kafka_active_controller{node="1",pod="kafka-1"} _x12 1x47`,
			},
		},
	},
	"QuorumLags": {
		fires: [][]string{{`kafka_quorum_lag_seconds{node="2",role="voter",pod="kafka-0"} 0x10 60+60x50`}, {`kafka_quorum_lag_seconds{node="2",role="voter",pod="kafka-0"} 9e9x60`}},
		rests: [][]string{
			{`kafka_quorum_lag_seconds{node="2",role="voter",pod="kafka-0"} 0x10 60 120 0x48`}, // a restart
			{`kafka_quorum_lag_seconds{node="2",role="observer",pod="kafka-0"} 0+60x60`},
		},
	},
	"FeaturesDiffer": {
		fires: [][]string{{`kafka_feature_finalized_level{feature="metadata.version",pod="kafka-0"} 27x10 30x50`, `kafka_feature_finalized_level{feature="metadata.version",pod="kafka-1"} 27x60`}},
		rests: [][]string{{`kafka_feature_finalized_level{feature="metadata.version",pod="kafka-0"} 27x10 30x50`, `kafka_feature_finalized_level{feature="metadata.version",pod="kafka-1"} 27x11 30x49`}},
	},
	"FeaturesNotFinalized": {
		every: 5 * time.Minute,
		fires: [][]string{{`kafka_feature_finalized_level{feature="metadata.version",pod="kafka-0"} 27x60`, `kafka_feature_supported_level{feature="metadata.version",pod="kafka-0"} 27x5 30x55`}},
		rests: [][]string{
			{`kafka_feature_finalized_level{feature="metadata.version",pod="kafka-0"} 27x25 30x35`, `kafka_feature_supported_level{feature="metadata.version",pod="kafka-0"} 27x5 30x55`},
			{ // one is not upgraded
				`kafka_feature_finalized_level{feature="metadata.version",pod="kafka-0"} 27x60`, `kafka_feature_supported_level{feature="metadata.version",pod="kafka-0"} 30x60`,
				`kafka_feature_finalized_level{feature="metadata.version",pod="kafka-1"} 27x60`, `kafka_feature_supported_level{feature="metadata.version",pod="kafka-1"} 27x60`,
			},
			{`kafka_feature_finalized_level{feature="kraft.version",pod="kafka-0"} 0x60`, `kafka_feature_supported_level{feature="kraft.version",pod="kafka-0"} 1x60`},
		},
	},
	"DatabaseMemberUnreachable": {
		fires: [][]string{{`mongo_members{state="unreachable",pod="a"} 0x10 1x50`, `mongo_members{state="unreachable",pod="b"} 0x12 1x48`}},
		rests: [][]string{
			{`mongo_members{state="unreachable",pod="a"} 0x10 1x50`, `mongo_members{state="unreachable",pod="b"} 0x60`}, // the pod is cut off, and the member is not
			{`mongo_members{state="unreachable",pod="a"} 1 0x59`},
		},
	},
	"DatabaseReplicationLags": {
		fires: [][]string{{`mongo_replication_lag_seconds{member="mongodb-2:27017",pod="a"} 0+10x60`}},
		rests: [][]string{{`mongo_replication_lag_seconds{member="mongodb-2:27017",pod="a"} 0x10 90x8 0x42`}, {}},
	},
	"KafkaCertificateEnds": {
		fires: [][]string{
			{`kafka_certificate_expiry_timestamp_seconds{job="kafka",service="kafka",pod="kafka-0"} 2591000x60`},
			{`kafka_certificate_expiry_timestamp_seconds{job="kafka",service="kafka",pod="kafka-0"} -1000x60`, `kafka_certificate_expiry_timestamp_seconds{job="kafka",service="kafka",pod="kafka-1"} 9000000x60`},
		},
		rests: [][]string{
			{`kafka_certificate_expiry_timestamp_seconds{job="kafka",service="kafka",pod="kafka-0"} 2596000x60`},
			{}, // not secured
		},
	},
	"ServiceDown": {
		fires: [][]string{{`kube_deployment_status_replicas_available{namespace="shop",deployment="api"} 1x10 0x50`}},
		rests: [][]string{{deployed}, {`kube_deployment_status_replicas_available{namespace="elsewhere",deployment="api"} 0x60`}},
	},
	"ScrapeFailed": {
		fires: [][]string{{`up{job="shopstream",instance="a"} 1x10 0x50`}, {`up{job="kube-state-metrics",instance="a"} 0x60`}},
		rests: [][]string{{`up{job="shopstream",instance="a"} 1x10 0x4 1x46`}},
	},
	"ClusterStateUnknown": {
		fires: [][]string{{}},
		rests: [][]string{{deployed}},
	},
	"ErrorRate": {
		fires: [][]string{{asked, `http_requests_total{service="web-server",route="/buy",code="503"} 0+2x60`}},
		rests: [][]string{
			{asked, `http_requests_total{service="web-server",route="/buy",code="400"} _ 0+50x59`},              // the caller's fault
			{asked, `http_requests_total{service="web-server",route="/-/ready",code="503"} 0+50x60`},            // a probe
			{`http_requests_total{service="consumer",route="/-/ready",code="503"} 0+12x60`},                     // nothing but probes
			{asked, `http_requests_total{service="web-server",route="/api/v1/buy",code="503"} 0+0x30 3 3+0x28`}, // one of many
		},
	},
	"ConsumerLag": {
		fires: [][]string{{`kafka_consumer_lag{service="consumer",topic="orders",partition="0"} 0+50x60`, `kafka_consumer_lag{service="consumer",topic="orders",partition="1"} 0+50x60`}},
		rests: [][]string{{`kafka_consumer_lag{service="consumer",topic="orders",partition="0"} 0x20 5000x5 0x35`}},
	},
	"ConsumerStuck": {
		fires: [][]string{{`kafka_consumer_lag{service="consumer",topic="orders",partition="0"} 0x20 5x40`}, {`kafka_consumer_lag{service="consumer",topic="orders",partition="0"} 0+1x60`}},
		rests: [][]string{
			{`kafka_consumer_lag{service="consumer",topic="orders",partition="0"} 0x60`},
			{`kafka_consumer_lag{service="consumer",topic="orders",partition="0"} 9 8 7 9 8 9 7 8 9 8 7 9 8 9 7 8 9 8 7 9 8 9 7 8 9 8 7 9 8 9 7 8`}, // it is consumed
			{`kafka_consumer_lag{service="consumer",topic="orders",partition="0",pod="a"} 3x9`, `kafka_consumer_lag{service="consumer",topic="orders",partition="0",pod="b"} _x9 2 0x50`},
		},
	},
	"PartitionsNotConsumed": {
		fires: [][]string{
			{`kafka_topic_partitions{service="consumer",topic="orders",pod="a"} 2x60`, `kafka_consumer_lag{service="consumer",topic="orders",partition="0",pod="a"} 0x60`}, // its totals are incomplete
			{`kafka_topic_partitions{service="consumer",topic="orders",pod="a"} 2x60`},                                                                                     // a member without partitions, and no other
			{`kafka_topic_partitions{service="consumer",topic="orders",pod="a"} 2x60`, `kafka_topic_partitions{service="consumer",topic="orders",pod="b"} 2x60`,
				`kafka_consumer_lag{service="consumer",topic="orders",partition="0",pod="a"} 0x60`, `kafka_consumer_lag{service="consumer",topic="orders",partition="0",pod="b"} 0x60`},
		},
		rests: [][]string{
			{`kafka_topic_partitions{service="consumer",topic="orders",pod="a"} 2x60`, `kafka_topic_partitions{service="consumer",topic="orders",pod="b"} 2x60`,
				`kafka_consumer_lag{service="consumer",topic="orders",partition="0",pod="a"} 0x60`, `kafka_consumer_lag{service="consumer",topic="orders",partition="1",pod="b"} 9x60`,
				`kafka_topic_partitions{service="consumer",topic="orders",pod="c"} 2x60`}, // one too many is no fault
			{`kafka_topic_partitions{service="consumer",topic="orders",pod="a"} 2x60`, `kafka_consumer_lag{service="consumer",topic="orders",partition="0",pod="a"} 0x60`,
				`kafka_consumer_lag{service="consumer",topic="orders",partition="1",pod="a"} 0x20 stale _x3 0x36`}, // a pod takes over
			{},
		},
	},
	"DeadLetters": {
		fires: [][]string{{`dead_letters_total{service="consumer",topic="orders",reason="decode"} 0x20 1x40`}},
		rests: [][]string{{`dead_letters_total{service="consumer",topic="orders",reason="decode"} 7x60`}},
	},
	"LogChanged": {
		fires: [][]string{
			{`kafka_log_changes_total{service="management-api",topic="purchases",kind="recreated"} 0 6x59`}, // once, and at once
			{`kafka_log_changes_total{service="consumer",topic="orders",kind="cut_back"} 0x20 1x40`},
			{`kafka_log_changes_total{service="consumer",topic="product-totals",kind="recreated"} 0x20 3x40`},
		},
		rests: [][]string{{`kafka_log_changes_total{service="consumer",topic="orders",kind="recreated"} 6x60`}, {}},
	},
	"RecordsUnread": {
		fires: [][]string{
			{`kafka_records_unread_total{service="management-api",topic="purchases"} 0 1381x59`},
			{`kafka_records_unread_total{service="consumer",topic="orders"} 0x20 1x40`},
		},
		rests: [][]string{{`kafka_records_unread_total{service="consumer",topic="orders"} 7x60`}, {}},
	},
	"AutoscalerAtItsLimit": {
		fires: [][]string{{`kube_horizontalpodautoscaler_status_current_replicas{namespace="shop",horizontalpodautoscaler="api"} 5x60`, `kube_horizontalpodautoscaler_spec_max_replicas{namespace="shop",horizontalpodautoscaler="api"} 5x60`}},
		rests: [][]string{{`kube_horizontalpodautoscaler_status_current_replicas{namespace="shop",horizontalpodautoscaler="api"} 4x60`, `kube_horizontalpodautoscaler_spec_max_replicas{namespace="shop",horizontalpodautoscaler="api"} 5x60`}},
	},
	"BuyIsSlow": {
		fires: [][]string{{buying + `,le="1.0"} 0+95x60`, buying + `,le="2.5"} 0+100x60`, buying + `,le="+Inf"} 0+100x60`}},
		rests: [][]string{{buying + `,le="1.0"} 0+100x60`, buying + `,le="2.5"} 0+100x60`, buying + `,le="+Inf"} 0+100x60`}},
	},
	"EventsRefused": {
		fires: [][]string{
			{`kafka_produce_errors_total{service="web-server",topic="purchases",reason="timeout"} 0x10 1+1x50`},
			{`kafka_produce_errors_total{service="web-server",topic="purchases",reason="queue_full"} 0 7x59`}, // the first burst, and no other
		},
		rests: [][]string{{`kafka_produce_errors_total{service="web-server",topic="purchases",reason="timeout"} 5x60`}},
	},
	"PurchasesAreNotStored": {
		fires: [][]string{{accepted, `purchases_stored_total{service="management-api"} 0+10x20 200x40`}, {accepted}},
		rests: [][]string{{accepted, `purchases_stored_total{service="management-api"} 0+10x60`}, {`purchases_stored_total{service="management-api"} 0x60`}, {}},
	},
	"PurchasesAreLate": {
		fires: [][]string{{storing + `,le="5.0"} 0+95x60`, storing + `,le="10.0"} 0+100x60`, storing + `,le="+Inf"} 0+100x60`}},
		rests: [][]string{{storing + `,le="5.0"} 0+100x60`, storing + `,le="10.0"} 0+100x60`, storing + `,le="+Inf"} 0+100x60`}},
	},
	"TransactionsAbort": {
		fires: [][]string{{`transactions_total{outcome="committed"} 0+90x60`, `transactions_total{outcome="aborted"} 0+10x60`}},
		rests: [][]string{{`transactions_total{outcome="committed"} 0+98x60`, `transactions_total{outcome="aborted"} 0+2x60`}, {}},
	},
	"MessagesAreSlow": {
		fires: [][]string{{reading + `,le="2.0"} 0+90x60`, reading + `,le="5.0"} 0+100x60`, reading + `,le="+Inf"} 0+100x60`}},
		rests: [][]string{{reading + `,le="1.0"} 0+100x60`, reading + `,le="2.0"} 0+100x60`, reading + `,le="+Inf"} 0+100x60`}},
	},
	"MessagesAreIncomplete": {
		fires: [][]string{{`messages_read_duration_seconds_count{complete="true"} 0+8x60`, `messages_read_duration_seconds_count{complete="false"} 0+2x60`}},
		rests: [][]string{{`messages_read_duration_seconds_count{complete="true"} 0+99x60`, `messages_read_duration_seconds_count{complete="false"} 0+1x60`}},
	},
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	known := rules(t)
	for name := range known {
		if _, tried := cases[name]; !tried && !isObjective(name) {
			t.Errorf("nobody tries %s", name)
		}
	}
	for name, c := range cases {
		rule, there := known[name]
		if !there {
			t.Errorf("there is no alert %s", name)
			continue
		}
		for _, series := range c.fires {
			if !fires(t, rule, c.every, series) {
				t.Errorf("%s does not fire on %q", name, series)
			}
		}
		for _, series := range c.rests {
			if fires(t, rule, c.every, series) {
				t.Errorf("%s fires on %q", name, series)
			}
		}
	}
}

// fires evaluates a rule at every sample, and reports whether it held for its duration with any labels.
func fires(t *testing.T, rule rulefmt.Rule, every time.Duration, notations []string) bool {
	t.Helper()
	every = max(every, time.Minute)
	data := load(t, notations, every)
	since := map[string]time.Time{}
	for i := range 60 {
		now := time.Unix(0, 0).Add(time.Duration(i) * every)
		before := since
		since = map[string]time.Time{}
		for _, sample := range evaluate(t, rule.Expr, data, every, now) {
			key := sample.Metric.String()
			if start, ok := before[key]; ok {
				since[key] = start
			} else {
				since[key] = now
			}
			if now.Sub(since[key]) >= time.Duration(rule.For) {
				return true
			}
		}
	}
	return false
}

// evaluate returns what an expression finds at a time, in data with a sample every so often.
func evaluate(t *testing.T, expr string, data samples, every time.Duration, now time.Time) promql.Vector {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, LookbackDelta: 5 * every, Parser: language})
	defer func() { _ = engine.Close() }()
	query, err := engine.NewInstantQuery(t.Context(), data, nil, expr, now)
	if err != nil {
		t.Fatal(err)
	}
	defer query.Close()
	found, err := query.Exec(t.Context()).Vector()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(found)
}

// samples are series in memory.
type samples []storage.Series

func load(t *testing.T, notations []string, every time.Duration) samples {
	t.Helper()
	idle := atStart(t)
	var all samples
	for _, notation := range notations {
		name, values, err := language.ParseSeriesDesc(notation)
		if err != nil {
			t.Fatalf("%s: %v", notation, err)
		}
		if isCounter(name.Get(model.MetricNameLabel)) && !values[0].Omitted {
			i := slices.IndexFunc(idle, func(l labels.Labels) bool { return matches(l, matchersFor(name)) })
			if i < 0 {
				t.Errorf("no service that starts has %s", name)
				continue
			}
			name = idle[i]
			idle = slices.Concat(idle[:i], idle[i+1:])
		}
		series := promql.Series{Metric: name}
		for i, value := range values {
			if !value.Omitted {
				at := (time.Duration(i) * every).Milliseconds()
				series.Floats = append(series.Floats, promql.FPoint{T: at, F: value.Value})
			}
		}
		all = append(all, promql.NewStorageSeries(series))
	}
	for _, name := range idle {
		series := promql.Series{Metric: name}
		for i := range 60 {
			series.Floats = append(series.Floats, promql.FPoint{T: (time.Duration(i) * every).Milliseconds()})
		}
		all = append(all, promql.NewStorageSeries(series))
	}
	return all
}

func matchersFor(l labels.Labels) []*labels.Matcher {
	var all []*labels.Matcher
	l.Range(func(pair labels.Label) {
		all = append(all, labels.MustNewMatcher(labels.MatchEqual, pair.Name, pair.Value))
	})
	return all
}

func (s samples) Querier(int64, int64) (storage.Querier, error) { return s, nil }

func (s samples) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var found samples
	for _, series := range s {
		if matches(series.Labels(), matchers) {
			found = append(found, series)
		}
	}
	return &set{rest: found}
}

func matches(l labels.Labels, matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		if !m.Matches(l.Get(m.Name)) {
			return false
		}
	}
	return true
}

func (s samples) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, errors.ErrUnsupported
}

func (s samples) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, errors.ErrUnsupported
}

func (s samples) Close() error { return nil }

type set struct {
	at   storage.Series
	rest samples
}

func (s *set) Next() bool {
	if len(s.rest) == 0 {
		return false
	}
	s.at, s.rest = s.rest[0], s.rest[1:]
	return true
}

func (s *set) At() storage.Series                { return s.at }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }
