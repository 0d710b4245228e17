package kafkax

import (
	"testing"
	"time"
)

func TestArrivalsAreAveragedOverTheLastSeconds(t *testing.T) {
	var a arrivals
	start := time.Unix(1_800_000_000, 0)
	at := func(second float64) time.Time { return start.Add(time.Duration(second * float64(time.Second))) }
	for second := range 60 {
		a.add(300, at(float64(second)+0.2))
		a.add(200, at(float64(second)+0.7))
	}
	for _, c := range []struct{ second, want float64 }{{60, 500}, {60.9, 500}, {65, 250}, {69.5, 50}, {70, 0}, {1000, 0}} {
		if got := a.rate(at(c.second)); got != c.want {
			t.Errorf("after %vs: %v/s, want %v/s", c.second, got, c.want)
		}
	}
}
