package dashboards

import (
	"fmt"
	"strings"
)

// objective is a promise with a number, as docs/infra-objectives.md lists them: the bad events and all of them in a window ($w), and how
// large a share may be bad. A test compares it with the alerts.
type objective struct {
	name, bad, all string
	allowed        float64
}

func objectives() []objective {
	const (
		oneSecond  = `le=~"1(.0)?"`
		twoSeconds = `le=~"2(.0)?"`
		buys       = `service="web-server",route=~".*/buy"`
		history    = `service="web-server",route=~".*/getAllUserBuys/.*"`
	)
	grown := func(counter string) string { return `sum(increase(` + counter + `[$w]))` }
	failing := func(name, labels string) objective {
		return objective{name, grown(`http_requests_total{` + labels + `,code=~"5.."}`), grown(`http_requests_total{` + labels + `}`), 0.001}
	}
	missing := func(name, good, all string) objective {
		return objective{name, `(` + grown(all) + ` - ` + grown(good) + `)`, grown(all), 0.01}
	}
	return []objective{
		failing("BuysAccepted", buys),
		missing("BuysAnswered", `http_request_duration_seconds_bucket{`+buys+`,`+oneSecond+`}`, `http_request_duration_seconds_count{`+buys+`}`),
		missing("PurchasesStored", `purchase_end_to_end_seconds_bucket{service="management-api",`+twoSeconds+`}`, `purchase_end_to_end_seconds_count{service="management-api"}`),
		failing("HistoryAnswered", history),
		missing("OrdersCounted", `transaction_duration_seconds_bucket{`+oneSecond+`}`, `transactions_total`),
		missing("MessagesRead", `messages_read_duration_seconds_bucket{complete="true",`+twoSeconds+`}`, `messages_read_duration_seconds_count`),
	}
}

// in is the share of bad events in a window.
func (o objective) in(window string) string {
	return strings.ReplaceAll(o.bad+" / "+o.all, "$w", window)
}

// burning shows how fast each objective is used up: above 1, it won't last thirty days.
func burning() []panel {
	burn := func(window string) []query {
		var queries []query
		for _, o := range objectives() {
			queries = append(queries, query{fmt.Sprintf("%s / %g", o.in(window), o.allowed), o.name})
		}
		return queries
	}
	return []panel{
		{title: "Bad events of an hour", unit: number, description: "In multiples of what each objective allows. From 14.4 on somebody is called.", queries: burn("1h")},
		{title: "Bad events of a day", unit: number, description: "In multiples of what each objective allows. From 1 on it won't last thirty days; from 3 on there is an alert.", queries: burn("1d")},
	}
}
