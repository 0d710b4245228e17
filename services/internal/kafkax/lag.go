package kafkax

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// lagCollector reads a Reader's lag at each scrape, so that a partition that was
// assigned to another member leaves no stale value.
type lagCollector struct {
	lag  func() map[int32]int64
	desc *prometheus.Desc
}

func newLagCollector(topic string, lag func() map[int32]int64) lagCollector {
	return lagCollector{lag: lag, desc: prometheus.NewDesc("kafka_consumer_lag",
		"Records of the partition that this consumer has not finished yet; only partitions assigned to it.",
		[]string{"partition"}, prometheus.Labels{"topic": topic})}
}

func (c lagCollector) Describe(descs chan<- *prometheus.Desc) { descs <- c.desc }

func (c lagCollector) Collect(metrics chan<- prometheus.Metric) {
	for partition, lag := range c.lag() {
		metrics <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(lag), strconv.Itoa(int(partition)))
	}
}
