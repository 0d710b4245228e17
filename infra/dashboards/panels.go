package dashboards

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Units as Grafana names them.
const (
	perSecond = "ops"
	seconds   = "s"
	size      = "bytes"
	share     = "percentunit"
	number    = "short"
)

// query is an expression and what its series are called.
type query struct{ expr, legend string }

// page is a dashboard.
type page struct {
	name, title, description string
	variable                 *dashboard.QueryVariableBuilder
	rows                     []row
}

type row struct {
	title  string
	panels []panel
}

// panel shows queries as lines, or the last value of one as a number that is red above zero, or below its least value.
type panel struct {
	title, description, unit string
	queries                  []query
	alarm                    bool
	least                    float64
	number                   bool
}

// build returns the dashboard as Grafana reads it.
func (p page) build() ([]byte, error) {
	//nolint:staticcheck // The newer kind is made by Grafana's API; from files it reads this one.
	builder := dashboard.NewDashboardBuilder(p.title).Uid("shopstream-"+p.name).Description(p.description).
		Tags([]string{"shopstream"}).Timezone(common.TimeZoneBrowser).Time("now-1h", "now").Refresh("1m").
		Tooltip(dashboard.DashboardCursorSyncCrosshair).Readonly()
	if p.variable != nil {
		builder = builder.WithVariable(p.variable)
	}
	for _, r := range p.rows {
		builder = builder.WithRow(dashboard.NewRowBuilder(r.title))
		for _, panel := range r.panels {
			builder = builder.WithPanel(panel.build())
		}
	}
	built, err := builder.Build()
	if err != nil {
		return nil, fmt.Errorf("building dashboard %q: %w", p.name, err)
	}
	encoded, err := json.MarshalIndent(built, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding dashboard %q: %w", p.name, err)
	}
	return append(encoded, '\n'), nil
}

func (p panel) build() cog.Builder[dashboard.Panel] {
	if p.number {
		return p.stat()
	}
	lines := timeseries.NewPanelBuilder().Title(p.title).Description(p.description).Datasource(source()).Unit(p.unit).Min(0).
		Span(8).Height(7).LineWidth(1).FillOpacity(10).ShowPoints(common.VisibilityModeNever).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
	for _, q := range p.queries {
		lines = lines.WithTarget(q.build())
	}
	return lines
}

func (p panel) stat() cog.Builder[dashboard.Panel] {
	steps := []dashboard.Threshold{{Color: "green"}}
	if p.alarm {
		above := 1.0
		steps = append(steps, dashboard.Threshold{Value: &above, Color: "red"})
	}
	if p.least > 0 {
		steps = []dashboard.Threshold{{Color: "red"}, {Value: &p.least, Color: "green"}}
	}
	one := stat.NewPanelBuilder().Title(p.title).Description(p.description).Datasource(source()).Unit(p.unit).Span(3).Height(4).
		Thresholds(dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)).
		GraphMode(common.BigValueGraphModeNone)
	for _, q := range p.queries {
		one = one.WithTarget(q.build())
	}
	return one
}

func (q query) build() cog.Builder[variants.Dataquery] {
	built := prometheus.NewDataqueryBuilder().Expr(q.expr).LegendFormat(q.legend).Datasource(source())
	if strings.HasPrefix(q.expr, "histogram_quantile(") {
		built = built.Exemplar(true) // traces of single requests, where there are any
	}
	return built
}

// source is the data source that the addon provisions.
func source() common.DataSourceRef {
	kind, uid := "prometheus", "prometheus"
	return common.DataSourceRef{Type: &kind, Uid: &uid}
}
