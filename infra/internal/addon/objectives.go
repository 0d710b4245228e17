package addon

import (
	"fmt"
	"strconv"
	"strings"
)

// Objective is a promise with a number: how many of a hundred events must be good, over thirty days.
type Objective struct {
	// Name is what its alerts' names begin with.
	Name string

	// Promise is what users can rely on.
	Promise string

	// Target is the share of the events that must be good.
	Target float64

	// bad is the share of the events that were bad, in a window that is written as $w.
	bad string
}

// Objectives returns the promises that can be counted. Those that hold without exception, such as that nothing accepted is lost,
// have alerts of their own.
func Objectives() []Objective {
	const (
		// The bound of a bucket: Prometheus 3 writes a whole number with a decimal, former ones without.
		second = `le=~"1(.0)?"`

		buys    = `service="web-server",route=~".*/buy"`
		history = `service="web-server",route=~".*/getAllUserBuys/.*"`
	)
	return []Objective{
		{
			Name: "BuysAccepted", Target: 0.999, bad: failed(buys),
			Promise: "A buy that is in order is accepted: not answered with 5xx.",
		},
		{
			Name: "BuysAnswered", Target: 0.99, bad: slow(`http_request_duration_seconds`, buys, second),
			Promise: "A buy is answered within a second.",
		},
		{
			Name: "PurchasesStored", Target: 0.99, bad: slow(`purchase_end_to_end_seconds`, `service="management-api"`, `le="2.5"`),
			Promise: "A purchase is stored two and a half seconds after it was made.",
		},
		{
			Name: "HistoryAnswered", Target: 0.999, bad: failed(history),
			Promise: "The list of a user's purchases is answered, without 5xx.",
		},
		{
			Name: "OrdersCounted", Target: 0.99, // only what is committed has a duration
			bad: `1 - sum(rate(transaction_duration_seconds_bucket{` + second + `}[$w]))` +
				` / sum(rate(transactions_total[$w]))`,
			Promise: "Orders are counted in a transaction that is committed within a second.",
		},
		{
			Name: "MessagesRead", Target: 0.99,
			bad: `1 - sum(rate(messages_read_duration_seconds_bucket{complete="true",le="2.5"}[$w]))` +
				` / sum(rate(messages_read_duration_seconds_count[$w]))`,
			Promise: "A read of a topic that is answered is complete, within two and a half seconds.",
		},
	}
}

// failed is the share of requests that were answered with 5xx.
func failed(labels string) string {
	return `sum(rate(http_requests_total{` + labels + `,code=~"5.."}[$w])) / sum(rate(http_requests_total{` + labels + `}[$w]))`
}

// slow is the share of what took longer than the bound of a bucket.
func slow(histogram, labels, bound string) string {
	return `1 - sum(rate(` + histogram + `_bucket{` + labels + `,` + bound + `}[$w])) / sum(rate(` + histogram + `_count{` + labels + `}[$w]))`
}

// burn is how much faster than allowed the bad events of a window come, in a long and in a short window: the long one for
// certainty, the short one so that the alert ends soon after its cause.
type burn struct {
	rate        float64
	long, short string
	used        string // of what is allowed in thirty days, when the long window is full
}

// burns returns the usual four pairs of windows, two for each severity.
func burns() map[string][]burn {
	return map[string][]burn{
		critical: {{14.4, "1h", "5m", "2 %"}, {6, "6h", "30m", "5 %"}},
		warning:  {{3, "1d", "2h", "10 %"}, {1, "3d", "6h", "10 %"}},
	}
}

// objectiveRules fire where an objective will be missed if it goes on like this.
func objectiveRules() []rule {
	var list []rule
	for _, o := range Objectives() {
		for _, severity := range []string{critical, warning} {
			pace, end := "Fast", "days"
			if severity == warning {
				pace, end = "Slowly", "weeks"
			}
			list = append(list, rule{
				name: o.Name + "Burns" + pace, expr: o.exceeds(burns()[severity]), wait: "0m", severity: severity, runbook: o.Name,
				summary: fmt.Sprintf("If this goes on, a promise of thirty days is used up within %s: %s", end, o.Promise),
			})
		}
	}
	return list
}

// exceeds is true in one of the pairs of windows.
func (o Objective) exceeds(windows []burn) string {
	pairs := make([]string, 0, len(windows))
	for _, w := range windows {
		limit := strconv.FormatFloat(w.rate*(1-o.Target), 'g', 4, 64)
		over := func(window string) string {
			return "(" + strings.ReplaceAll(o.bad, "$w", window) + ") > " + limit
		}
		pairs = append(pairs, "("+over(w.long)+" and "+over(w.short)+")")
	}
	return strings.Join(pairs, " or ")
}
