package alerts

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// objectives are the events that each one counts: the series for good and for bad ones, as counters that grow.
var objectives = map[string]struct {
	allowed float64 // share of bad events
	series  func(good, bad []float64) []string
}{
	"BuysAccepted": {.001, func(good, bad []float64) []string {
		return []string{
			counted(`http_requests_total{service="web-server",route="/buy",code="202"}`, good),
			counted(`http_requests_total{service="web-server",route="/buy",code="503"}`, bad),
		}
	}},
	"BuysAnswered":    {.01, timed(buying, "1.0")},
	"PurchasesStored": {.01, timed(storing, "2.0")},
	"HistoryAnswered": {.001, func(good, bad []float64) []string {
		const list = `http_requests_total{service="web-server",method="GET",route="/api/v1/getAllUserBuys/:userid"`
		return []string{counted(list+`,code="200"}`, good[1:], "_"), counted(list+`,code="503"}`, bad)} // no 200 before the first list
	}},
	"OrdersCounted": {.01, func(good, bad []float64) []string {
		return []string{
			counted(`transaction_duration_seconds_bucket{service="consumer",le="1.0"}`, good),
			counted(`transactions_total{outcome="committed"}`, good),
			counted(`transactions_total{outcome="aborted"}`, bad),
		}
	}},
	"MessagesRead": {.01, func(good, bad []float64) []string {
		return []string{
			counted(reading+`,le="2.0"}`, good),
			counted(`messages_read_duration_seconds_count{complete="true"}`, good),
			counted(`messages_read_duration_seconds_count{complete="false"}`, bad),
		}
	}},
}

// timed are the series of a histogram, of which the events up to a bound are good.
func timed(bucket, bound string) func(good, bad []float64) []string {
	return func(good, bad []float64) []string {
		all := make([]float64, len(good))
		for i := range all {
			all[i] = good[i] + bad[i]
		}
		return []string{
			counted(bucket+`,le="`+bound+`"}`, good),
			counted(strings.Replace(bucket, "_bucket{", "_count{", 1)+"}", all),
		}
	}
}

// counted is a counter that grows by these numbers, in promtool's notation, after some samples in that notation.
func counted(name string, growth []float64, before ...string) string {
	notation, sum := strings.Join(append([]string{name}, before...), " "), 0.0
	for _, n := range growth {
		sum += n
		notation += " " + strconv.FormatFloat(sum, 'f', -1, 64)
	}
	return notation
}

// TestAnObjectiveBurnsWhenItWillBeMissed is tried with a thousand events per sample unless there are fewer, of which some are bad: a
// multiple of what is allowed, all, or some of few.
func TestAnObjectiveBurnsWhenItWillBeMissed(t *testing.T) {
	known := rules(t)
	for what, test := range map[string]struct {
		every      time.Duration
		rate       func(sample int) float64 // how much more is bad than allowed
		bad        func(sample int) bool    // all events are
		few        map[int][2]float64       // good and bad events, and no others
		fast, slow bool
	}{
		"an outage of ten minutes":          {every: time.Minute, bad: func(i int) bool { return i >= 50 }, fast: true},
		"one that is over":                  {every: time.Minute, bad: func(i int) bool { return i >= 20 && i < 30 }},
		"a moment":                          {every: time.Minute, rate: func(i int) float64 { return map[bool]float64{true: 200}[i == 58] }},
		"a tenth of the month in five days": {every: time.Hour, rate: constant(1.5), slow: true},
		"a tenth of the month in a day":     {every: time.Hour, rate: constant(4), slow: true},
		"5 % of the month in six hours":     {every: 10 * time.Minute, rate: constant(7), fast: true},
		"one of ten in the first minutes":   {every: time.Minute, few: map[int][2]float64{56: {5, 0}, 58: {4, 1}}},
		"nine in an hour, all of them bad":  {every: time.Minute, few: map[int][2]float64{20: {0, 4}, 57: {0, 5}}},
		"eleven in an hour, all bad":        {every: time.Minute, few: map[int][2]float64{20: {0, 6}, 57: {0, 5}}, fast: true},
		"a bad one every other night":       {every: time.Hour, few: map[int][2]float64{10: {3, 1}, 34: {3, 0}, 56: {3, 1}}},
		"a bad one of four an hour":         {every: time.Hour, few: always(3, 1), slow: true},
		"as much as is allowed, minutes":    {every: time.Minute, rate: constant(.9)},
		"as much as is allowed, hours":      {every: 10 * time.Minute, rate: constant(.9)},
		"as much as is allowed, days":       {every: time.Hour, rate: constant(.9)},
	} {
		for name, o := range objectives {
			var good, bad []float64
			for i := range 60 {
				share := 0.0
				if test.rate != nil {
					share = min(1, test.rate(i)*o.allowed)
				}
				if test.bad != nil && test.bad(i) {
					share = 1
				}
				if few := test.few[i]; test.few != nil {
					good, bad = append(good, few[0]), append(bad, few[1])
					continue
				}
				good, bad = append(good, 1000*(1-share)), append(bad, 1000*share)
			}
			series := o.series(good, bad)
			for alert, want := range map[string]bool{name + "BurnsFast": test.fast, name + "BurnsSlowly": test.slow} {
				if test.every < time.Hour && alert == name+"BurnsSlowly" {
					continue // it looks at days, and takes what is known of them for the whole
				}
				if wait := known[alert].For; wait != 0 {
					t.Fatalf("%s waits %s", alert, wait) // its windows are the wait
				}
				end := time.Unix(0, 0).Add(59 * test.every)
				if fires := len(evaluate(t, known[alert].Expr, load(t, series, test.every), test.every, end)) > 0; fires != want {
					t.Errorf("%s: %s fires: %t", what, alert, fires)
				}
			}
		}
	}
}

// always has these events in each sample.
func always(good, bad float64) map[int][2]float64 {
	events := map[int][2]float64{}
	for i := range 60 {
		events[i] = [2]float64{good, bad}
	}
	return events
}

func constant(rate float64) func(int) float64 { return func(int) float64 { return rate } }

// TestNobodyBurnsAnObjectiveWithoutEvents tries what a platform looks like that nobody uses.
func TestNobodyBurnsAnObjectiveWithoutEvents(t *testing.T) {
	for name, rule := range rules(t) {
		if isObjective(name) && fires(t, rule, time.Minute, nil) {
			t.Errorf("%s fires", name)
		}
	}
}

// isObjective reports whether an alert is one of an objective's two.
func isObjective(alert string) bool {
	for name := range objectives {
		if alert == name+"BurnsFast" || alert == name+"BurnsSlowly" {
			return true
		}
	}
	return false
}
