package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Outcomes of transactions_total.
const (
	outcomeCommitted = "committed"
	outcomeAborted   = "aborted"
)

// metrics count what is committed: an order whose transaction was aborted is
// counted when it comes again. Product names come from outside and are never
// a label.
type metrics struct {
	messages     prometheus.Counter
	counted      prometheus.Counter
	skipped      prometheus.Counter
	letters      *prometheus.CounterVec
	transactions *prometheus.CounterVec
	duration     prometheus.Histogram
	products     prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer, topic string) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		messages: f.NewCounter(prometheus.CounterOpts{
			Name: "consumer_messages_total",
			Help: "Records of the orders topic that are done with: counted, dead-lettered or skipped.",
		}),
		counted: f.NewCounter(prometheus.CounterOpts{
			Name: "orders_counted_total",
			Help: "Orders that went into the totals.",
		}),
		skipped: f.NewCounter(prometheus.CounterOpts{
			Name: "orders_already_counted_total",
			Help: "Orders read again although they are in the totals. Anything above 0 means that the group's offsets were set back.",
		}),
		letters: f.NewCounterVec(prometheus.CounterOpts{
			Name: "dead_letters_total",
			Help: "Records of the topic that were refused to the dead letters.",
		}, []string{"topic", "reason"}),
		transactions: f.NewCounterVec(prometheus.CounterOpts{
			Name: "transactions_total",
			Help: "Transactions, by how they ended.",
		}, []string{"outcome"}),
		duration: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "transaction_duration_seconds",
			Help:    "Time from the beginning of a transaction to its commit.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		products: f.NewGauge(prometheus.GaugeOpts{
			Name: "totals_in_memory",
			Help: "Totals held for the assigned partitions: one for each product seen in each. Memory grows with it.",
		}),
	}
	for _, reason := range []string{reasonDecode, reasonInvalid, reasonUnreadable} {
		m.letters.WithLabelValues(topic, reason) // there from the start, so that an alert on its increase sees the first
	}
	for _, outcome := range []string{outcomeCommitted, outcomeAborted} {
		m.transactions.WithLabelValues(outcome)
	}
	return m
}
