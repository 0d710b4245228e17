package addon

import (
	"cmp"
	"fmt"
	"strings"
)

// rule is one alert: its condition, how long it must hold, and what it means to the person on call.
type rule struct {
	name     string
	expr     string
	wait     string
	severity string
	summary  string
	runbook  string // heading of its paragraph in docs/alerts.md, if that isn't its name
}

const (
	critical = "critical" // users are affected now, or Kafka has fewer copies of what it has acknowledged than it should
	warning  = "warning"  // users will be affected if it goes on
)

// rules returns the alert rules as Prometheus reads them.
func rules(args PrometheusArgs) map[string]any {
	group := func(name string, list []rule) map[string]any {
		encoded := make([]any, 0, len(list))
		for _, r := range list {
			encoded = append(encoded, map[string]any{
				"alert":       r.name,
				"expr":        r.expr,
				"for":         r.wait,
				"labels":      map[string]any{"severity": r.severity},
				"annotations": map[string]any{"summary": r.summary, "runbook_url": args.runbook(r)},
			})
		}
		return map[string]any{"name": name, "rules": encoded}
	}
	return map[string]any{"groups": []any{
		group("shopstream-health", healthRules(args)),
		group("shopstream-kafka", kafkaRules(args)),
		group("shopstream-database", databaseRules()),
		group("shopstream-promises", promiseRules()),
		group("shopstream-objectives", objectiveRules()),
	}}
}

// runbook returns where a rule's paragraph can be read, or at least found.
func (args PrometheusArgs) runbook(r rule) string {
	folder := strings.TrimSuffix(args.Runbooks, "/")
	if folder == "" {
		folder = "docs"
	}
	return folder + "/alerts.md#" + strings.ToLower(cmp.Or(r.runbook, r.name))
}

// healthRules fire where a component is missing or fails.
func healthRules(args PrometheusArgs) []rule {
	brokers := fmt.Sprintf(`{namespace=%q,statefulset=~"%s(-.+)?"}`, args.DataNamespace, args.Broker)
	database := fmt.Sprintf("{namespace=%q,statefulset=%q}", args.DataNamespace, args.Database)
	data := fmt.Sprintf("{namespace=%q}", args.DataNamespace)
	services := fmt.Sprintf("{namespace=%q}", args.AppNamespace)
	// Without the kubelet's requests: a failed readiness probe is not an error, and their number would hide real ones.
	const requests = `http_requests_total{route!~"/-/.*|/health|/metrics"`
	return []rule{
		{
			name:     "KafkaUnreachable",
			expr:     `max(dependency_up{dependency="kafka"}) == 0 or absent(dependency_up{dependency="kafka"})`,
			wait:     "1m",
			severity: critical,
			summary:  "No service reaches a Kafka broker: nothing can be bought or ordered.",
		},
		{
			name:     "KafkaBrokerMissing",
			expr:     "kube_statefulset_status_replicas_ready" + brokers + " < kube_statefulset_replicas" + brokers,
			wait:     "5m",
			severity: warning,
			summary:  "A node of {{ $labels.statefulset }} is not ready. Nothing is lost; if one more fails, nothing can be written.",
		},
		{
			name:     "DatabaseUnreachable",
			expr:     `max(dependency_up{dependency="mongo"}) == 0 or absent(dependency_up{dependency="mongo"})`,
			wait:     "2m",
			severity: critical,
			summary:  "Purchases are accepted and kept in Kafka, but can be neither stored nor shown.",
		},
		{
			name:     "DatabaseMemberMissing",
			expr:     "kube_statefulset_status_replicas_ready" + database + " < kube_statefulset_replicas" + database,
			wait:     "5m",
			severity: warning,
			summary:  "A member of the database is not ready. Two of three still work; if one more fails, nothing is stored.",
		},
		{
			name:     "VolumeFillsUp",
			expr:     "kubelet_volume_stats_available_bytes" + data + " / kubelet_volume_stats_capacity_bytes" + data + " < 0.15",
			wait:     "5m",
			severity: warning,
			summary:  "{{ $labels.persistentvolumeclaim }} is nearly full: a broker or a database that can't write stops.",
		},
		{
			// A dump or a drill that was due more than 4 hours ago, which is the longest it may take, and has not succeeded since;
			// or that was never started. The restore's CronJob is suspended, and never due.
			name: "BackupFails",
			expr: "time() - kube_cronjob_status_last_schedule_time" + data + " > 15000" +
				" unless kube_cronjob_status_last_successful_time" + data + " >= kube_cronjob_status_last_schedule_time" + data +
				" or time() - kube_cronjob_next_schedule_time" + data + " > 15000",
			wait:     "5m",
			severity: warning,
			summary:  "{{ $labels.cronjob }} has not succeeded since its last schedule: the newest dump gets old, or can't be restored.",
		},
		{
			name:     "ServiceDown",
			expr:     "kube_deployment_status_replicas_available" + services + " == 0",
			wait:     "2m",
			severity: critical,
			summary:  "{{ $labels.deployment }} has no pod that is ready.",
		},
		{
			// Kafka's own have an alert that calls somebody.
			name: "ContainerRestarts",
			expr: fmt.Sprintf(`sum by (namespace, pod, container) (increase(kube_pod_container_status_restarts_total{namespace=~"%s|%s",container!=%q}[30m])) > 2.5`,
				args.AppNamespace, args.DataNamespace, args.Broker),
			wait:     "0m",
			severity: warning,
			summary:  "{{ $labels.container }} in {{ $labels.pod }} has restarted three times or more in half an hour.",
		},
		{
			name:     "ScrapeFailed",
			expr:     `up == 0`,
			wait:     "5m",
			severity: warning,
			summary:  "The metrics of {{ $labels.job }} at {{ $labels.instance }} can't be read.",
		},
		{
			// Without it, no rule on missing pods can fire.
			name:     "ClusterStateUnknown",
			expr:     `absent(kube_deployment_status_replicas_available` + services + `)`,
			wait:     "5m",
			severity: warning,
			summary:  "The state of the pods is unknown: kube-state-metrics is missing.",
		},
		{
			name: "ErrorRate",
			expr: "sum by (service) (rate(" + requests + `,code=~"5.."}[5m]))` +
				" / sum by (service) (rate(" + requests + "}[5m])) > 0.01",
			wait:     "5m",
			severity: critical,
			summary:  "More than one request in a hundred to {{ $labels.service }} fails.",
		},
		{
			name:     "ConsumerLag",
			expr:     `sum by (service, topic) (kafka_consumer_lag) > 1000`,
			wait:     "10m",
			severity: warning,
			summary:  "{{ $labels.service }} is {{ $value }} records behind on {{ $labels.topic }} and does not catch up.",
		},
		{
			// Whatever the size of the lag: the lag of a partition that is consumed reaches zero from time to time.
			name: "ConsumerStuck",
			expr: `sum by (service, topic, partition) (kafka_consumer_lag and kafka_consumer_lag offset 10m` +
				` and min_over_time(kafka_consumer_lag[10m]) > 0 and resets(kafka_consumer_lag[10m]) == 0)`,
			wait:     "5m",
			severity: critical,
			summary:  "{{ $labels.service }} is stuck at partition {{ $labels.partition }} of {{ $labels.topic }}, or far too slow for it.",
		},
		{
			// A consumer has a lag only for partitions that it has and can read. Without one, ConsumerStuck can't fire.
			name: "PartitionsNotConsumed",
			expr: `max by (service, topic) (kafka_topic_partitions) unless max by (service, topic) (kafka_topic_partitions)` +
				` <= count by (service, topic) (group by (service, topic, partition) (kafka_consumer_lag))`,
			wait:     "5m",
			severity: critical,
			summary:  "Some partitions of {{ $labels.topic }} are consumed by no pod of {{ $labels.service }}.",
		},
		{
			name:     "DeadLetters",
			expr:     `sum by (service, topic, reason) (increase(dead_letters_total[10m])) > 0`,
			wait:     "0m",
			severity: warning,
			summary:  "{{ $labels.service }} set records of {{ $labels.topic }} aside: {{ $labels.reason }}.",
		},
		{
			// Services continue by themselves. A topic was deleted, or a leader lacked records of the one before.
			name:     "LogChanged",
			expr:     `sum by (service, topic, kind) (increase(kafka_log_changes_total[10m])) > 0`,
			wait:     "0m",
			severity: warning,
			summary:  "{{ $labels.service }} could not continue at its position in {{ $labels.topic }}: {{ $labels.kind }}. For purchases, run management-api store-again (docs/day2.md).",
		},
		{
			name: "AutoscalerAtItsLimit",
			expr: "kube_horizontalpodautoscaler_status_current_replicas" + services +
				" >= kube_horizontalpodautoscaler_spec_max_replicas" + services,
			wait:     "15m",
			severity: warning,
			summary:  "{{ $labels.horizontalpodautoscaler }} has reached its maximum number of pods: raise its max.",
		},
	}
}

// promiseRules fire where the platform misses one of its objectives, one rule for each.
func promiseRules() []rule {
	const buy = `{service="web-server",route=~".*/buy"}`
	return []rule{
		{
			// 202 is answered once Kafka has acknowledged, within a time limit.
			name: "BuyIsSlow",
			expr: `histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket` + buy + `[5m]))) > 1`,
			wait: "5m", severity: warning,
			summary: "One buyer in a hundred waits more than a second for an answer.",
		},
		{
			// If Kafka refuses a purchase, the buyer gets an error: the purchase did not happen.
			name: "EventsRefused",
			expr: `sum by (service, topic, reason) (increase(kafka_produce_errors_total[5m])) > 0`,
			wait: "0m", severity: critical,
			summary: "Kafka does not accept records from {{ $labels.service }} for {{ $labels.topic }}: {{ $labels.reason }}.",
		},
		{
			// Nothing is lost: what was accepted is stored.
			name: "PurchasesAreNotStored",
			expr: `sum(increase(http_requests_total{service="web-server",route=~".*/buy",code="202"}[10m])) > 0` +
				` unless sum(increase(purchases_stored_total[10m])) > 0`,
			wait: "5m", severity: critical,
			summary: "Purchases are accepted, but none has been stored for ten minutes.",
		},
		{
			// Records that were deleted before they were read are lost.
			name: "RecordsUnread",
			expr: `sum by (service, topic) (increase(kafka_records_unread_total[10m])) > 0`,
			wait: "0m", severity: critical,
			summary: "{{ $value }} records of {{ $labels.topic }} or more were deleted before {{ $labels.service }} had read them. For purchases, run management-api store-again on a copy of the topic if there is one (docs/day2.md).",
		},
		{
			// A purchase can be read soon after it was made.
			name: "PurchasesAreLate",
			expr: `histogram_quantile(0.99, sum by (le) (rate(purchase_end_to_end_seconds_bucket[5m]))) > 5`,
			wait: "5m", severity: warning,
			summary: "One purchase in a hundred takes more than five seconds to be stored.",
		},
		{
			// Totals are counted exactly once, in transactions.
			name: "TransactionsAbort",
			expr: `sum(rate(transactions_total{outcome!="committed"}[10m]))` +
				` / sum(rate(transactions_total[10m])) > 0.05`,
			wait: "10m", severity: warning,
			summary: "More than one transaction in twenty is aborted: totals are right, but late.",
		},
		{
			// The last records of a topic, complete and at once.
			name: "MessagesAreSlow",
			expr: `histogram_quantile(0.99, sum by (le) (rate(messages_read_duration_seconds_bucket[5m]))) > 2`,
			wait: "5m", severity: warning,
			summary: "One reader of a topic in a hundred waits more than two seconds.",
		},
		{
			name: "MessagesAreIncomplete",
			expr: `sum(rate(messages_read_duration_seconds_count{complete="false"}[10m]))` +
				` / sum(rate(messages_read_duration_seconds_count[10m])) > 0.1`,
			wait: "10m", severity: warning,
			summary: "One read of a topic in ten ends before it has all requested records.",
		},
	}
}
