package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// The metrics that /system shows, as the services serve them.
const (
	metricUp         = "up" // Prometheus' own
	metricDependency = "dependency_up"
	metricRequests   = "http_requests_total"
	metricStored     = "purchases_stored_total"
	metricEndToEnd   = "purchase_end_to_end_seconds_bucket"
	metricProduce    = "kafka_produce_duration_seconds_bucket"
)

// scrapeBytes limits a response with metrics.
const scrapeBytes = 16 << 20

// scrape is the metrics of all services at one time, by series.
type scrape map[string]series

// series is the value of one metric with one set of labels.
type series struct {
	name   string
	labels map[string]string
	value  float64
}

// fetchMetrics reads the services' metrics from a server that has those of all of them,
// labelled with service and pod: Prometheus, by its federation, or whatever serves the
// same text. It returns the time of the newest sample, or now where samples have none.
func fetchMetrics(ctx context.Context, client *http.Client, address string) (sample[scrape], error) {
	names := strings.Join([]string{metricUp, metricDependency, metricRequests, metricStored, metricEndToEnd, metricProduce}, "|")
	query := url.Values{"match[]": {fmt.Sprintf(`{service!="",__name__=~%q}`, names)}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"?"+query.Encode(), nil)
	if err != nil {
		return sample[scrape]{}, fmt.Errorf("reading metrics: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return sample[scrape]{}, fmt.Errorf("reading metrics: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return sample[scrape]{}, fmt.Errorf("reading metrics: %s answers with %s", address, response.Status)
	}
	return parseMetrics(io.LimitReader(response.Body, scrapeBytes), time.Now())
}

func parseMetrics(text io.Reader, now time.Time) (sample[scrape], error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return sample[scrape]{}, fmt.Errorf("reading metrics: %w", err)
	}
	result := sample[scrape]{at: time.Time{}, value: scrape{}}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			if at := time.UnixMilli(m.GetTimestampMs()); m.TimestampMs != nil && at.After(result.at) {
				result.at = at
			}
			result.value.add(name, m)
		}
	}
	if len(result.value) == 0 {
		return sample[scrape]{}, errors.New("reading metrics: the response has none")
	}
	if result.at.IsZero() {
		result.at = now
	}
	return result, nil
}

// add adds the series of a metric. Those of a histogram are its buckets, under the names
// that federation gives them.
func (s scrape) add(name string, m *dto.Metric) {
	labels := map[string]string{}
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	put := func(name string, labels map[string]string, value float64) {
		key := name
		for _, l := range slices.Sorted(maps.Keys(labels)) {
			key += "\x00" + l + "\x00" + labels[l]
		}
		s[key] = series{name, labels, value}
	}
	switch {
	case m.Counter != nil:
		put(name, labels, m.Counter.GetValue())
	case m.Gauge != nil:
		put(name, labels, m.Gauge.GetValue())
	case m.Untyped != nil:
		put(name, labels, m.Untyped.GetValue())
	case m.Histogram != nil:
		for _, b := range m.Histogram.GetBucket() {
			bucket := maps.Clone(labels)
			bucket["le"] = strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64)
			put(name+"_bucket", bucket, float64(b.GetCumulativeCount()))
		}
	}
}

// of returns the series of a metric that a service serves.
func (s scrape) of(service, name string) []series {
	var found []series
	for _, one := range s {
		if one.name == name && (service == "" || one.labels["service"] == service) {
			found = append(found, one)
		}
	}
	return found
}

// increase returns by how much the counters that a filter accepts have grown since an
// earlier scrape. A counter that was reset has grown by its value; one that wasn't there
// is left out, since when it began is unknown.
func (s scrape) increase(earlier scrape, accepts func(series) bool) float64 {
	sum := 0.0
	for key, now := range s {
		before, ok := earlier[key]
		if !ok || !accepts(now) {
			continue
		}
		if grown := now.value - before.value; grown >= 0 {
			sum += grown
		} else {
			sum += now.value
		}
	}
	return sum
}

// slowest returns the time within which 95 % of the observations of a histogram's buckets
// since an earlier scrape were, interpolated within a bucket. It returns false if there
// was none, or if it lies beyond the last bound.
func (s scrape) slowest(earlier scrape, accepts func(series) bool) (time.Duration, bool) {
	bounds := map[float64]bool{}
	for _, one := range s {
		if bound, err := strconv.ParseFloat(one.labels["le"], 64); err == nil && accepts(one) {
			bounds[bound] = true
		}
	}
	within := func(bound float64) float64 {
		return s.increase(earlier, func(one series) bool {
			le, err := strconv.ParseFloat(one.labels["le"], 64)
			return err == nil && le == bound && accepts(one)
		})
	}
	target := within(math.Inf(1)) * .95
	if target == 0 {
		return 0, false
	}
	lower, below := 0.0, 0.0
	for _, bound := range slices.Sorted(maps.Keys(bounds)) {
		count := within(bound)
		if count < target {
			lower, below = bound, count
			continue
		}
		if math.IsInf(bound, 1) {
			return 0, false
		}
		seconds := lower + (bound-lower)*(target-below)/(count-below)
		return time.Duration(seconds * float64(time.Second)), true
	}
	return 0, false
}
