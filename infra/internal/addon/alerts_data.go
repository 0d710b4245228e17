package addon

import (
	"fmt"
	"time"
)

// kafkaRules fire where the brokers are unwell, as the guards beside them tell. Each guard tells of the whole cluster, so the
// worst that any tells counts, and one that is gone hides nothing. An external Kafka has no guards.
func kafkaRules(args PrometheusArgs) []rule {
	if args.GuardPortName == "" {
		return nil
	}
	containers := fmt.Sprintf(`{namespace=%q,container=%q}`, args.DataNamespace, args.Broker)
	list := []rule{
		{
			name:     "KafkaHealthUnknown",
			expr:     `max by (part) (kafka_health_readable) == 0 or absent(kafka_health_readable)`,
			wait:     "5m",
			severity: warning,
			summary:  "No broker tells about its {{ $labels.part }}: the other alerts on brokers may be silent.",
		},
		{
			name:     "PartitionsOffline",
			expr:     `max(kafka_partitions_offline) > 0`,
			wait:     "1m",
			severity: critical,
			summary:  "{{ $value }} partitions have no leader: they can be neither written nor read.",
		},
		{
			// It doesn't happen in a roll, whose guards wait for the replicas.
			name:     "PartitionsUnderMinISR",
			expr:     `max(kafka_partitions_under_min_isr) > 0`,
			wait:     "1m",
			severity: critical,
			summary:  "{{ $value }} partitions have too few replicas in sync: they accept no records.",
		},
		{
			// Longer than a broker takes to restart and catch up. In a roll one broker follows another at once, so each counts alone.
			name:     "PartitionsUnderReplicated",
			expr:     `max by (node) (kafka_replicas_out_of_sync) > 0`,
			wait:     "5m",
			severity: critical,
			summary:  "{{ $value }} replicas of broker {{ $labels.node }} are not in sync. Nothing is lost; one more failure may stop writes.",
		},
		{
			// Each restart is too short for the alerts on what is down.
			name:     "KafkaRestarts",
			expr:     "sum by (pod) (increase(kube_pod_container_status_restarts_total" + containers + "[30m])) > 2.5",
			wait:     "0m",
			severity: critical,
			summary:  "Kafka in {{ $labels.pod }} has restarted three times or more in half an hour: it does not stay up.",
		},
		{
			name:     "LogDirOffline",
			expr:     `max by (pod) (kafka_log_dirs_offline) > 0`,
			wait:     "1m",
			severity: critical,
			summary:  "{{ $labels.pod }} can't use a disk: there is one copy fewer of what is on it.",
		},
		{
			// Some clusters' volumes tell the kubelet nothing, so the brokers are asked too.
			name:     "KafkaDiskFillsUp",
			expr:     `min by (pod, dir) (kafka_log_dir_usable_bytes / kafka_log_dir_total_bytes) < 0.15`,
			wait:     "5m",
			severity: warning,
			summary:  "The disk of {{ $labels.pod }} at {{ $labels.dir }} is nearly full: a broker that can't write stops.",
		},
		{
			name: "ActiveController",
			expr: `absent(kafka_active_controller) or count(count by (node) (kafka_active_controller)) > 1`,
			wait: "2m", severity: critical,
			summary: "Kafka has no active controller, or guards disagree on which it is: topics and leaders can't change.",
		},
		{
			// By then the controller that is behind can't take over.
			name:     "QuorumLags",
			expr:     `max by (node) (kafka_quorum_lag_seconds{role="voter"}) > 30`,
			wait:     "5m",
			severity: warning,
			summary:  "Controller {{ $labels.node }} is behind the active one. If another one fails, Kafka may have none.",
		},
		{
			name:     "FeaturesDiffer",
			expr:     `max by (feature) (kafka_feature_finalized_level) != min by (feature) (kafka_feature_finalized_level)`,
			wait:     "10m",
			severity: warning,
			summary:  "The brokers disagree on the level of {{ $labels.feature }}: one doesn't follow the cluster's metadata.",
		},
		{
			// A month before clients refuse it: make up has renewed one that the stack made two months earlier.
			name:     "KafkaCertificateEnds",
			expr:     "kafka_certificate_expiry_timestamp_seconds - time() < 30 * 24 * 3600",
			wait:     "10m",
			severity: warning,
			summary:  "The certificate of {{ $labels.pod }} ends in {{ $value | humanizeDuration }}: nobody can connect to it then. Run make up, or set a new kafkaCertificate (docs/day2.md).",
		},
	}
	if args.FinalizeAfter > 0 {
		list = append(list, rule{
			// An hour later than it should have been. kraft.version is left as it is on purpose.
			name: "FeaturesNotFinalized",
			expr: `min by (feature) (kafka_feature_supported_level{feature!="kraft.version"})` +
				` > max by (feature) (kafka_feature_finalized_level{feature!="kraft.version"})`,
			wait:     fmt.Sprintf("%dm", int((args.FinalizeAfter + time.Hour).Minutes())),
			severity: warning,
			summary:  "All brokers support level {{ $value }} of {{ $labels.feature }}, and the cluster doesn't use it: the upgrade has not ended.",
		})
	}
	return list
}

// databaseRules fire where members of the database are unwell, if all management-apis hear it: one alone may be what is
// cut off. They hold for an external database too.
func databaseRules() []rule {
	return []rule{
		{
			name:     "DatabaseMemberUnreachable",
			expr:     `min(mongo_members{state="unreachable"}) > 0`,
			wait:     "5m",
			severity: warning,
			summary:  "No management-api reaches {{ $value }} members of the database. If most are unreachable, nothing is stored.",
		},
		{
			name:     "DatabaseReplicationLags",
			expr:     `min by (member) (mongo_replication_lag_seconds) > 60`,
			wait:     "10m",
			severity: warning,
			summary:  "{{ $labels.member }} is {{ $value | humanizeDuration }} behind the primary: it is no help if another member fails.",
		},
	}
}
