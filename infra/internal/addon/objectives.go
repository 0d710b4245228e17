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

	// bad and all are how many events there were, in a window that is written as $w.
	bad, all string
}

// fewest is how many events must be bad before somebody is told: of ten buys in a night, one that fails is a tenth, and no trend.
const fewest = 10

// Objectives returns the promises that can be counted. Those that hold without exception, such as that nothing accepted is lost,
// have alerts of their own.
func Objectives() []Objective {
	const (
		// Bounds of buckets: Prometheus 3 writes a whole number with a decimal, former ones without.
		oneSecond  = `le=~"1(.0)?"`
		twoSeconds = `le=~"2(.0)?"`

		buys    = `service="web-server",route=~".*/buy"`
		history = `service="web-server",route=~".*/getAllUserBuys/.*"`
	)
	return []Objective{
		failing(Objective{
			Name: "BuysAccepted", Target: 0.999, Promise: "A buy that is in order is accepted: not answered with 5xx.",
		}, buys),
		missing(Objective{
			Name: "BuysAnswered", Target: 0.99, Promise: "A buy is answered within a second.",
		}, `http_request_duration_seconds_bucket{`+buys+`,`+oneSecond+`}`, `http_request_duration_seconds_count{`+buys+`}`),
		missing(Objective{
			Name: "PurchasesStored", Target: 0.99, Promise: "A purchase is stored two seconds after it was made.",
		}, `purchase_end_to_end_seconds_bucket{service="management-api",`+twoSeconds+`}`, `purchase_end_to_end_seconds_count{service="management-api"}`),
		failing(Objective{
			Name: "HistoryAnswered", Target: 0.999, Promise: "The list of a user's purchases is answered, without 5xx.",
		}, history),
		missing(Objective{
			Name: "OrdersCounted", Target: 0.99, Promise: "Orders are counted in a transaction that is committed within a second.",
		}, `transaction_duration_seconds_bucket{`+oneSecond+`}`, `transactions_total`), // only what is committed has a duration
		missing(Objective{
			Name: "MessagesRead", Target: 0.99, Promise: "A read of a topic that is answered is complete, within two seconds.",
		}, `messages_read_duration_seconds_bucket{complete="true",`+twoSeconds+`}`, `messages_read_duration_seconds_count`),
	}
}

// failing counts the requests that were answered with 5xx as bad.
func failing(o Objective, labels string) Objective {
	o.bad, o.all = grown(`http_requests_total{`+labels+`,code=~"5.."}`), grown(`http_requests_total{`+labels+`}`)
	return o
}

// missing counts as bad what is in all and not in good.
func missing(o Objective, good, all string) Objective {
	o.bad, o.all = `(`+grown(all)+` - `+grown(good)+`)`, grown(all)
	return o
}

func grown(counter string) string { return `sum(increase(` + counter + `[$w]))` }

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
		within := func(expr, window string) string { return strings.ReplaceAll(expr, "$w", window) }
		over := func(window string) string { return within(o.bad+" / "+o.all, window) + " > " + limit }
		pairs = append(pairs, fmt.Sprintf("(%s and %s and %s >= %d)", over(w.long), over(w.short), within(o.bad, w.long), fewest))
	}
	return strings.Join(pairs, " or ")
}
