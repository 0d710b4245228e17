package load

import (
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"strings"
	"time"
)

//go:embed plot.html
var plotPage string

// The size of a chart, in the units of the SVG.
const (
	plotWidth  = 1000.0
	plotHeight = 160.0
)

type chart struct {
	Title string
	Most  string // label of the greatest value
	Lines []line
}

// line is one curve. Unknown values leave gaps in it, so it may consist of several SVG polylines.
type line struct {
	Name   string
	Color  int // of the page's palette
	Points []string
}

type band struct {
	Name     string
	X, Width float64
	Quiet    bool
}

// writePlot writes the recording as an HTML page without scripts or external resources.
func writePlot(path string, r *Recording, checks []Check) error {
	page, err := template.New("plot").Parse(plotPage)
	if err != nil {
		return err
	}
	var end time.Duration
	for _, s := range r.Samples {
		end = max(end, s.At)
	}
	x := func(at time.Duration) float64 { return plotWidth * at.Seconds() / max(end.Seconds(), 1) }
	var bands []band
	for _, p := range r.Phases {
		bands = append(bands, band{fmt.Sprintf("%s %.0f/s", p.Name, p.Rate), x(p.Start), x(p.End) - x(p.Start), p.Rate == 0})
	}
	type curve struct {
		name  string
		value func(Sample) float64 // negative if unknown
	}
	draw := func(title, unit string, curves ...curve) chart {
		most := 1.0
		for _, s := range r.Samples {
			for _, c := range curves {
				most = max(most, c.value(s))
			}
		}
		result := chart{Title: title, Most: fmt.Sprintf("%.0f%s", most, unit)}
		for i, c := range curves {
			l := line{Name: c.name, Color: i}
			var points strings.Builder
			for _, s := range append(r.Samples, Sample{Lag: -1}) {
				v := c.value(s)
				if v >= 0 && s.At > 0 {
					fmt.Fprintf(&points, "%.1f,%.1f ", x(s.At), plotHeight*(1-v/most))
				} else if points.Len() > 0 {
					l.Points = append(l.Points, points.String())
					points.Reset()
				}
			}
			result.Lines = append(result.Lines, l)
		}
		return result
	}
	known := func(d time.Duration) float64 {
		if d == 0 {
			return -1
		}
		return d.Seconds() * 1000
	}
	charts := []chart{
		draw("Purchases a second", "/s", curve{"acknowledged", func(s Sample) float64 { return float64(s.Acked) }},
			curve{"waiting for an answer", func(s Sample) float64 { return float64(s.Waiting) }}),
		draw("Lag", "", curve{"records not stored yet", func(s Sample) float64 { return float64(s.Lag) }}),
		draw("Time since a purchase was due", " ms", curve{"answered, p99", func(s Sample) float64 { return known(s.P99) }},
			curve{"stored, p50", func(s Sample) float64 { return known(s.Stored50) }}, curve{"stored, p99", func(s Sample) float64 { return known(s.Stored99) }}),
	}
	if r.scaled() {
		var curves []curve
		for _, service := range r.Services {
			pods := func(of func(Pods) int) func(Sample) float64 {
				return func(s Sample) float64 {
					p, ok := s.Pods[service.Name]
					if !ok {
						return -1
					}
					return float64(of(p))
				}
			}
			curves = append(curves, curve{service.Name + " wanted", pods(func(p Pods) int { return p.Wanted })}, curve{service.Name + " ready", pods(func(p Pods) int { return p.Ready })})
		}
		charts = append(charts, draw("Pods", "", curves...))
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := page.Execute(file, map[string]any{"Bands": bands, "Charts": charts, "Checks": checks, "Length": end.Round(time.Second), "Width": plotWidth, "Height": plotHeight}); err != nil {
		return err
	}
	return file.Close()
}
