package kafkax

import (
	"encoding/json"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// StatisticsInterval is how often a consumer reports its statistics, in
// milliseconds; the lag metric is that fresh.
const StatisticsInterval = 1000

// Lag exports, per assigned partition, how many records lie between the
// group's stored offset and the end of the log. The consumer must have
// statistics.interval.ms set and pass each *kafka.Stats event to Observe.
type Lag struct {
	gauge *prometheus.GaugeVec
}

// NewLag registers the metric.
func NewLag(reg prometheus.Registerer) *Lag {
	return &Lag{gauge: promauto.With(reg).NewGaugeVec(prometheus.GaugeOpts{
		Name: "kafka_consumer_lag",
		Help: "Records of the partition that this consumer has not finished yet; only partitions assigned to it.",
	}, []string{"topic", "partition"})}
}

// Observe takes librdkafka's statistics (its STATISTICS.md gives the form).
func (l *Lag) Observe(statistics string) {
	var stats struct {
		Topics map[string]struct {
			Partitions map[string]struct {
				Partition int32  `json:"partition"`
				State     string `json:"fetch_state"`
				LagStored int64  `json:"consumer_lag_stored"`
				Low       int64  `json:"lo_offset"`
				High      int64  `json:"hi_offset"`
			} `json:"partitions"`
		} `json:"topics"`
	}
	if json.Unmarshal([]byte(statistics), &stats) != nil {
		return
	}
	// A partition that went to another member must not keep its last value.
	l.gauge.Reset()
	for topic, t := range stats.Topics {
		for _, p := range t.Partitions {
			if p.Partition < 0 || p.State == "none" || p.State == "stopped" {
				continue
			}
			lag := p.LagStored
			if lag < 0 && p.Low >= 0 && p.High >= p.Low {
				// No offset was stored yet, so nothing is finished: a group that
				// is stuck at its very first record must be seen.
				lag = p.High - p.Low
			}
			if lag >= 0 {
				l.gauge.WithLabelValues(topic, strconv.Itoa(int(p.Partition))).Set(float64(lag))
			}
		}
	}
}

// lagCollector exports a Reader's lag as it is when it is asked for, so that a
// partition that went to another member leaves no last value behind.
type lagCollector struct {
	lag   func() map[int32]int64
	topic string
	desc  *prometheus.Desc
}

func newLagCollector(topic string, lag func() map[int32]int64) lagCollector {
	return lagCollector{lag: lag, topic: topic, desc: prometheus.NewDesc("kafka_consumer_lag",
		"Records of the partition that this consumer has not finished yet; only partitions assigned to it.",
		[]string{"topic", "partition"}, nil)}
}

func (c lagCollector) Describe(descs chan<- *prometheus.Desc) { descs <- c.desc }

func (c lagCollector) Collect(metrics chan<- prometheus.Metric) {
	for partition, lag := range c.lag() {
		metrics <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(lag), c.topic, strconv.Itoa(int(partition)))
	}
}
