package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// federation serves the metrics of all services as Prometheus does in a cluster: labelled
// with service and pod, and with up, which is 0 for a service that doesn't answer. api
// shows them on /system.
type federation struct {
	services []service
	client   *http.Client
}

func newFederation(services []service) *federation {
	return &federation{services: services, client: &http.Client{Timeout: 3 * time.Second}} // one that is slow is up
}

// ServeHTTP implements http.Handler. It ignores the selection of metrics in the query: api
// looks for those that it needs.
func (f *federation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	all := make([]map[string]*dto.MetricFamily, len(f.services))
	var wg sync.WaitGroup
	for i, s := range f.services {
		wg.Go(func() { all[i] = f.scrape(r.Context(), s) })
	}
	wg.Wait()
	merged := map[string]*dto.MetricFamily{}
	for _, families := range all {
		for name, family := range families {
			if known, ok := merged[name]; ok {
				known.Metric = append(known.Metric, family.Metric...)
				continue
			}
			merged[name] = family
		}
	}
	w.Header().Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	for _, family := range merged {
		if _, err := expfmt.MetricFamilyToText(w, family); err != nil {
			return // the reader has gone
		}
	}
}

// scrape reads the metrics of one service.
func (f *federation) scrape(ctx context.Context, s service) map[string]*dto.MetricFamily {
	families, err := f.read(ctx, s)
	up := 1.0
	if err != nil {
		families, up = map[string]*dto.MetricFamily{}, 0
	}
	families["up"] = &dto.MetricFamily{
		Name: new("up"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: new(up)}}},
	}
	for _, family := range families {
		for _, m := range family.Metric {
			// A restarted process continues its predecessor's series, so that they have one name.
			m.Label = append(m.Label, &dto.LabelPair{Name: new("service"), Value: new(s.name)}, &dto.LabelPair{Name: new("pod"), Value: new(s.name)})
		}
	}
	return families
}

func (f *federation) read(ctx context.Context, s service) (map[string]*dto.MetricFamily, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url("/metrics"), nil)
	if err != nil {
		return nil, fmt.Errorf("reading the metrics of %s: %w", s.name, err)
	}
	response, err := f.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("reading the metrics of %s: %w", s.name, err)
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the metrics of %s: %w", s.name, err)
	}
	return families, nil
}
