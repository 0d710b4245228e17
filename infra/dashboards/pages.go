// Package dashboards makes Grafana's dashboards. It is a module of its own, so that what Grafana's and Prometheus's packages need
// is no part of what the Pulumi program is built from; that reads the JSON which is written here.
package dashboards

import "github.com/grafana/grafana-foundation-sdk/go/dashboard"

// pages returns all dashboards.
func pages() []page { return []page{platform(), kafka(), runtime()} }

// platform is what users notice, and what the platform does for them.
func platform() page {
	const buys = `{service="web-server",route=~".*/buy"}`
	return page{
		name: "platform", title: "shopstream: the platform", description: "What buyers and readers notice, and how the platform keeps up.",
		rows: []row{
			{"Buying", []panel{
				{title: "Buys per second", unit: perSecond, description: "By the status of the answer: 202 is acknowledged by Kafka, 503 is refused.", queries: []query{
					{`sum by (code) (rate(http_requests_total` + buys + `[$__rate_interval]))`, "{{code}}"},
				}},
				{title: "Refused", unit: share, description: "Share of the buys that were answered with 5xx: not acknowledged.", queries: []query{
					{`sum(rate(http_requests_total{service="web-server",route=~".*/buy",code=~"5.."}[$__rate_interval])) / sum(rate(http_requests_total` + buys + `[$__rate_interval]))`, "refused"},
				}},
				{title: "Time until a buy is answered", unit: seconds, description: "It is answered once Kafka has acknowledged.", queries: quantiles("http_request_duration_seconds", buys)},
				{title: "Time until Kafka acknowledges", unit: seconds, description: "99 of a hundred records are acknowledged within.", queries: []query{
					{`histogram_quantile(0.99, sum by (le, service) (rate(kafka_produce_duration_seconds_bucket[$__rate_interval])))`, "{{service}}"},
				}},
				{title: "Records that Kafka refused", unit: perSecond, description: "Buyers got 503 for those of web-server.", queries: []query{
					{`sum by (service, topic, reason) (rate(kafka_produce_errors_total[$__rate_interval]))`, "{{service}}: {{topic}} {{reason}}"},
				}},
			}},
			{"Storing and counting", []panel{
				{title: "Stored and counted per second", unit: perSecond, description: "Purchases in the database, and orders in the totals.", queries: []query{
					{`sum(rate(purchases_stored_total[$__rate_interval]))`, "purchases stored"},
					{`sum(rate(orders_counted_total[$__rate_interval]))`, "orders counted"},
				}},
				{title: "Time from the buy until it is stored", unit: seconds, description: "From end to end, by the purchase's own time.", queries: quantiles("purchase_end_to_end_seconds", "")},
				{title: "Lag", unit: number, description: "Records that a service has yet to read; autoscaling follows it.", queries: []query{
					{`sum by (service, topic) (kafka_consumer_lag)`, "{{service}}: {{topic}}"},
				}},
				{title: "Dead letters", unit: perSecond, description: "Records that can never be stored, set aside with their reason.", queries: []query{
					{`sum by (service, topic, reason) (rate(dead_letters_total[$__rate_interval]))`, "{{service}}: {{topic}} {{reason}}"},
				}},
				{title: "Transactions", unit: perSecond, description: "Of the totals. Aborted ones are repeated; nothing is counted twice.", queries: []query{
					{`sum by (outcome) (rate(transactions_total[$__rate_interval]))`, "{{outcome}}"},
				}},
				{title: "Writes to the database", unit: seconds, description: "Time for a batch, and how often one was tried again.", queries: append(
					quantiles("mongo_batch_duration_seconds", ""),
					query{`sum(rate(mongo_batch_retries_total[$__rate_interval]))`, "retries per second"},
				)},
			}},
			{"Reading topics", []panel{
				{title: "Time to read a topic", unit: seconds, description: "The last messages, of any topic.", queries: quantiles("messages_read_duration_seconds", "")},
				{title: "Incomplete", unit: share, description: "Reads that ended at the limit on time or bytes.", queries: []query{
					{`sum(rate(messages_read_duration_seconds_count{complete="false"}[$__rate_interval])) / sum(rate(messages_read_duration_seconds_count[$__rate_interval]))`, "incomplete"},
				}},
				{title: "Live readers", unit: number, description: "Open streams of messages.", queries: []query{{`sum(api_streams)`, "streams"}}},
			}},
			{"Objectives", burning()},
			{"Scale and health", []panel{
				{title: "Pods", unit: number, description: "That Prometheus reads, by service.", queries: []query{{`sum by (service) (up{service!=""})`, "{{service}}"}}},
				{title: "Dependencies", unit: number, description: "1 while every pod of the service reaches it.", queries: []query{
					{`min by (service, dependency) (dependency_up)`, "{{service}}: {{dependency}}"},
				}},
				{title: "Members of the database", unit: number, description: "By their state, as management-api's client knows them.", queries: []query{
					{`max by (state) (mongo_members)`, "{{state}}"},
				}},
			}},
		},
	}
}

// quantiles are the usual ones of a histogram.
func quantiles(histogram, selector string) []query {
	buckets := `sum by (le) (rate(` + histogram + `_bucket` + selector + `[$__rate_interval]))`
	return []query{
		{`histogram_quantile(0.5, ` + buckets + `)`, "half"},
		{`histogram_quantile(0.99, ` + buckets + `)`, "99 of 100"},
	}
}

// kafka is the brokers' health, as the guards beside them tell.
func kafka() page {
	worst := func(title, metric, description string) panel {
		return panel{title: title, unit: number, description: description, number: true, alarm: true, queries: []query{{"max(" + metric + ")", ""}}}
	}
	return page{
		name: "kafka", title: "shopstream: Kafka", description: "The brokers' health. Each guard tells of the whole cluster; the worst that any tells is shown.",
		rows: []row{
			{"Now", []panel{
				worst("Offline partitions", "kafka_partitions_offline", "Without a leader: neither written nor read."),
				worst("Under min ISR", "kafka_partitions_under_min_isr", "Too few replicas in sync: no writes."),
				worst("Under-replicated", "kafka_partitions_under_replicated", "With a replica that is not in sync."),
				worst("Offline log directories", "kafka_log_dirs_offline", "That a broker can't use."),
				{title: "Certificates", unit: seconds, description: "Until the first of the nodes' certificates ends; red in the last thirty days. Empty where Kafka has none.", number: true, least: 30 * 24 * 3600, queries: []query{
					{"min(kafka_certificate_expiry_timestamp_seconds) - time()", ""},
				}},
				{title: "Brokers", unit: number, description: "Registered and not fenced.", number: true, queries: []query{{"min(kafka_brokers)", ""}}},
				{title: "Active controller", unit: number, description: "The node.", number: true, queries: []query{{`max by (node) (kafka_active_controller)`, "node {{node}}"}}},
			}},
			{"Partitions and disks", []panel{
				{title: "Partitions", unit: number, description: "What is wrong with them, over time.", queries: []query{
					{"max(kafka_partitions_under_replicated)", "under-replicated"},
					{"max(kafka_partitions_under_min_isr)", "under min ISR"},
					{"max(kafka_partitions_offline)", "offline"},
				}},
				{title: "Replicas out of sync", unit: number, description: "By the node that has them; from five minutes on there is an alert.", queries: []query{
					{"max by (node) (kafka_replicas_out_of_sync)", "node {{node}}"},
				}},
				{title: "Disks in use", unit: share, description: "Of each broker; from 85 % on there is an alert.", queries: []query{
					{"1 - min by (pod, dir) (kafka_log_dir_usable_bytes / kafka_log_dir_total_bytes)", "{{pod}}"},
				}},
				{title: "Size on disk, by topic", unit: size, description: "All replicas on all brokers.", queries: []query{
					{"topk(10, sum by (topic) (kafka_log_size_bytes))", "{{topic}}"},
				}},
				{title: "Size on disk, by broker", unit: size, description: "All topics.", queries: []query{{"sum by (pod) (kafka_log_size_bytes)", "{{pod}}"}}},
			}},
			{"Controllers", []panel{
				{title: "Behind the active controller", unit: seconds, description: "How long ago a node had all of the cluster's metadata.", queries: []query{
					{"max by (node, role) (kafka_quorum_lag_seconds)", "{{role}} {{node}}"},
				}},
				{title: "Records behind the active controller", unit: number, description: "Of the cluster's metadata.", queries: []query{
					{"max by (node, role) (kafka_quorum_lag_records)", "{{role}} {{node}}"},
				}},
				{title: "Levels of features", unit: number, description: "What the cluster uses, and what all brokers support: an upgrade ends when both are equal, but for kraft.version.", queries: []query{
					{"min by (feature) (kafka_feature_finalized_level)", "{{feature}}"},
					{"min by (feature) (kafka_feature_supported_level)", "{{feature}}, as all brokers support"},
				}},
			}},
			{"Watching", []panel{
				{title: "What the guards can read", unit: number, description: "1 if the part of the cluster's health was answered.", queries: []query{
					{"min by (pod, part) (kafka_health_readable)", "{{pod}}: {{part}}"},
				}},
				{title: "Consumers' lag", unit: number, description: "By partition, the ten largest.", queries: []query{
					{"topk(10, sum by (service, topic, partition) (kafka_consumer_lag))", "{{service}}: {{topic}} {{partition}}"},
				}},
				{title: "Logs that changed", unit: number, description: "Topics that were made anew or cut back, as consumers noticed.", queries: []query{
					{"sum by (service, topic, kind) (increase(kafka_log_changes_total[$__rate_interval]))", "{{service}}: {{topic}} {{kind}}"},
					{"sum by (service, topic) (increase(kafka_records_unread_total[$__rate_interval]))", "{{service}}: {{topic}} unread"},
				}},
			}},
		},
	}
}

// runtime is one service's processes; which, is chosen on the page.
func runtime() page {
	const pods = `{service="$service"}`
	each := func(title, unit, expr, description string) panel {
		return panel{title: title, unit: unit, description: description, queries: []query{{expr, "{{pod}}"}}}
	}
	name := "label_values(build_info, service)"
	return page{
		name: "runtime", title: "shopstream: a service's runtime", description: "The processes of one service.",
		variable: dashboard.NewQueryVariableBuilder("service").Label("Service").Datasource(source()).
			Query(dashboard.StringOrMap{String: &name}).Refresh(dashboard.VariableRefreshOnTimeRangeChanged),
		rows: []row{
			{"Requests", []panel{
				{title: "Requests per second", unit: perSecond, description: "By route and status, without those that nobody asks for.", queries: []query{
					{`sum by (route, code) (rate(http_requests_total` + pods + `[$__rate_interval])) > 0`, "{{route}} {{code}}"},
				}},
				{title: "Time until 99 of 100 are answered", unit: seconds, description: "By route.", queries: []query{
					{`histogram_quantile(0.99, sum by (le, route) (rate(http_request_duration_seconds_bucket` + pods + `[$__rate_interval])))`, "{{route}}"},
				}},
				{title: "Versions", unit: number, description: "Pods by what was built: two during a roll.", queries: []query{
					{`count by (revision, go_version) (build_info` + pods + `)`, "{{revision}} {{go_version}}"},
				}},
			}},
			{"Process", []panel{
				each("CPU", number, `sum by (pod) (rate(process_cpu_seconds_total`+pods+`[$__rate_interval]))`, "CPUs in use."),
				each("Memory", size, `sum by (pod) (process_resident_memory_bytes`+pods+`)`, "Resident: Go's heap, and what Kafka's client, a C library, holds."),
				each("File descriptors", number, `sum by (pod) (process_open_fds`+pods+`)`, "Files and connections."),
				each("Network", size, `sum by (pod) (rate(process_network_receive_bytes_total`+pods+`[$__rate_interval]) + rate(process_network_transmit_bytes_total`+pods+`[$__rate_interval]))`, "Bytes per second, in and out."),
			}},
			{"Go", []panel{
				each("Heap in use", size, `sum by (pod) (go_memstats_heap_inuse_bytes`+pods+`)`, "Half of the pod's memory is for it."),
				each("Goroutines", number, `sum by (pod) (go_goroutines`+pods+`)`, "A number that only grows is a leak."),
				each("Garbage collection", share, `sum by (pod) (rate(go_gc_duration_seconds_sum`+pods+`[$__rate_interval]))`, "Share of the time that the program was stopped for it."),
			}},
		},
	}
}
