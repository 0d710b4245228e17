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

// metrics count committed work: an order whose transaction was aborted is counted when
// it is read again. Product names are never a label, because anyone can invent one.
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
			Help: "Records of the orders topic that are finished: counted, dead-lettered or skipped.",
		}),
		counted: f.NewCounter(prometheus.CounterOpts{
			Name: "orders_counted_total",
			Help: "Orders added to the totals.",
		}),
		skipped: f.NewCounter(prometheus.CounterOpts{
			Name: "orders_already_counted_total",
			Help: "Orders that were read again and skipped, because they are in the totals already. Above 0, the group's offsets were set back.",
		}),
		letters: f.NewCounterVec(prometheus.CounterOpts{
			Name: "dead_letters_total",
			Help: "Records of the topic that were refused and sent to the dead letters.",
		}, []string{"topic", "reason"}),
		transactions: f.NewCounterVec(prometheus.CounterOpts{
			Name: "transactions_total",
			Help: "Transactions, by outcome.",
		}, []string{"outcome"}),
		duration: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "transaction_duration_seconds",
			Help:    "Time from the beginning of a transaction to its commit.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		products: f.NewGauge(prometheus.GaugeOpts{
			Name: "totals_in_memory",
			Help: "Totals of the assigned partitions: one per product and partition. Memory grows with it.",
		}),
	}
	for _, reason := range []string{reasonDecode, reasonInvalid, reasonUnreadable, reasonProducts} {
		m.letters.WithLabelValues(topic, reason) // exists from the start, so that an alert on its increase sees the first refusal
	}
	for _, outcome := range []string{outcomeCommitted, outcomeAborted} {
		m.transactions.WithLabelValues(outcome)
	}
	return m
}
