package main

import (
	"fmt"
	"math"
	"strings"
)

// The plot's size, and the margins around its lines.
const (
	plotWidth, plotHeight = 520.0, 240.0
	marginX, marginTop    = 44.0, 52.0
	marginBottom          = 36.0
)

// plot draws the first figure as a small SVG: the numbers on a logarithmic scale unless
// they are few, the figure on a linear one from 0.
func (g growth) plot(samples []sample) string {
	f := g.figures[0]
	highest := 0.0
	for _, s := range samples {
		highest = max(highest, f.of(s))
	}
	scale := func(n int) float64 { return math.Log(float64(n)) }
	first, last := g.numbers[0], g.numbers[len(g.numbers)-1]
	if last < 10 {
		scale = func(n int) float64 { return float64(n) }
	}
	x := func(n int) float64 {
		return marginX + (plotWidth-2*marginX)*(scale(n)-scale(first))/(scale(last)-scale(first))
	}
	bottom := plotHeight - marginBottom
	y := func(value float64) float64 { return bottom - (bottom-marginTop)*value/highest }

	var line, marks strings.Builder
	for i, n := range g.numbers {
		value := f.of(samples[i])
		fmt.Fprintf(&line, "%.1f,%.1f ", x(n), y(value))
		fmt.Fprintf(&marks, `  <circle cx="%.1f" cy="%.1f" r="3"/>`+"\n", x(n), y(value))
		fmt.Fprintf(&marks, `  <text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", x(n), y(value)-8, short(value))
		fmt.Fprintf(&marks, `  <text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", x(n), bottom+16, short(float64(n)))
	}
	title := strings.TrimSuffix(f.what+", "+f.unit, ", ")
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]g %[2]g" width="%[1]g" height="%[2]g" font-family="sans-serif" font-size="11" fill="#246">
  <rect width="100%%" height="100%%" fill="#fff"/>
  <text x="12" y="20" font-size="13">%[3]s</text>
  <text x="%[4]g" y="%[5]g" text-anchor="end">%[6]s</text>
  <path d="M%[7]g,%[8]g H%[4]g" stroke="#bcd"/>
  <polyline points="%[9]s" fill="none" stroke="#246" stroke-width="2"/>
%[10]s</svg>
`, plotWidth, plotHeight, title, plotWidth-12, plotHeight-6, g.of, 12.0, bottom, strings.TrimSpace(line.String()), marks.String())
}

// short is a number as a label: 1.5k, 2M.
func short(value float64) string {
	switch {
	case value >= 1e6:
		return fmt.Sprintf("%.3gM", value/1e6)
	case value >= 1e3:
		return fmt.Sprintf("%.3gk", value/1e3)
	}
	return fmt.Sprintf("%.3g", value)
}
