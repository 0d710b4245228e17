package main

import (
	"encoding/xml"
	"strings"
	"testing"
)

func TestAPlotHasEveryPointInsideOfIt(t *testing.T) {
	g := growth{of: "clients", numbers: []int{1, 64, 2000}, figures: []figure{{"buys", "/s", rate}}}
	var drawn struct {
		Circles []struct {
			X float64 `xml:"cx,attr"`
			Y float64 `xml:"cy,attr"`
		} `xml:"circle"`
		Texts []string `xml:"text"`
	}
	if err := xml.Unmarshal([]byte(g.plot([]sample{{Rate: 4000}, {Rate: 12_000}, {Rate: 9_500}})), &drawn); err != nil {
		t.Fatal(err)
	}
	if len(drawn.Circles) != 3 {
		t.Fatalf("%d points, want 3", len(drawn.Circles))
	}
	for i, c := range drawn.Circles {
		if c.X < 0 || c.X > plotWidth || c.Y < 0 || c.Y > plotHeight || i > 0 && c.X <= drawn.Circles[i-1].X {
			t.Errorf("point %d at %v", i, c)
		}
	}
	if highest := drawn.Circles[1].Y; highest >= drawn.Circles[0].Y || highest >= drawn.Circles[2].Y {
		t.Errorf("the best rate isn't at the top: %v", drawn.Circles)
	}
	if all := strings.Join(drawn.Texts, "|"); all != "buys, /s|clients|4k|1|12k|64|9.5k|2k" {
		t.Errorf("labels %q", all)
	}
}
