package kafkax

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lagCollector reads a Reader's lag and arrivals at each scrape, so that a partition that
// moved to another member leaves no stale value.
type lagCollector struct {
	reader                    *Reader
	lag, partitions, arrivals *prometheus.Desc
}

func newLagCollector(r *Reader) lagCollector {
	return lagCollector{
		reader: r,
		lag: prometheus.NewDesc("kafka_consumer_lag",
			"Records of the partition that this consumer has not finished yet; only partitions assigned to it.",
			[]string{"partition"}, prometheus.Labels{"topic": r.config.Topic}),
		partitions: prometheus.NewDesc("kafka_topic_partitions",
			"Partitions of the topic. One for which no member of the group has a lag is not consumed.",
			nil, prometheus.Labels{"topic": r.config.Topic}),
		arrivals: prometheus.NewDesc("kafka_consumer_arrivals_per_second",
			"Records per second that were added to the partitions assigned to this consumer, in the last ten seconds.",
			nil, prometheus.Labels{"topic": r.config.Topic}),
	}
}

func (c lagCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- c.lag
	descs <- c.partitions
	descs <- c.arrivals
}

func (c lagCollector) Collect(metrics chan<- prometheus.Metric) {
	for partition, lag := range c.reader.Lag() {
		metrics <- prometheus.MustNewConstMetric(c.lag, prometheus.GaugeValue, float64(lag), strconv.Itoa(int(partition)))
	}
	if n := c.reader.partitionCount(); n > 0 {
		metrics <- prometheus.MustNewConstMetric(c.partitions, prometheus.GaugeValue, float64(n))
	}
	metrics <- prometheus.MustNewConstMetric(c.arrivals, prometheus.GaugeValue, c.reader.arrivalRate(time.Now()))
}

// arrivals counts what is added to the log, second by second.
type arrivals struct {
	seconds [arrivalWindow + 1]struct {
		unix    int64
		records int64
	}
}

// arrivalWindow is the time over which arrivals are averaged, in seconds. An autoscaler adds it
// to its own reaction.
const arrivalWindow = 10

func (a *arrivals) add(records int64, now time.Time) {
	s := &a.seconds[now.Unix()%int64(len(a.seconds))]
	if s.unix != now.Unix() {
		s.unix, s.records = now.Unix(), 0
	}
	s.records += records
}

// rate is that of the last arrivalWindow complete seconds.
func (a *arrivals) rate(now time.Time) float64 {
	var records int64
	for _, s := range a.seconds {
		if age := now.Unix() - s.unix; age >= 1 && age <= arrivalWindow {
			records += s.records
		}
	}
	return float64(records) / arrivalWindow
}
