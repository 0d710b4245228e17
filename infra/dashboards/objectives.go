package dashboards

import (
	"fmt"
	"strings"
)

// objective is a promise with a number, as docs/infra-objectives.md lists them: the share of bad events in a window ($w), and how
// large it may be. A test compares it with the alerts.
type objective struct {
	name, bad string
	allowed   float64
}

func objectives() []objective {
	const (
		second  = `le=~"1(.0)?"`
		buys    = `service="web-server",route=~".*/buy"`
		history = `service="web-server",route=~".*/getAllUserBuys/.*"`
	)
	failed := func(labels string) string {
		return `sum(rate(http_requests_total{` + labels + `,code=~"5.."}[$w])) / sum(rate(http_requests_total{` + labels + `}[$w]))`
	}
	late := func(within, all string) string {
		return `1 - sum(rate(` + within + `[$w])) / sum(rate(` + all + `[$w]))`
	}
	return []objective{
		{"BuysAccepted", failed(buys), 0.001},
		{"BuysAnswered", late(`http_request_duration_seconds_bucket{`+buys+`,`+second+`}`, `http_request_duration_seconds_count{`+buys+`}`), 0.01},
		{"PurchasesStored", late(`purchase_end_to_end_seconds_bucket{service="management-api",le="2.5"}`, `purchase_end_to_end_seconds_count{service="management-api"}`), 0.01},
		{"HistoryAnswered", failed(history), 0.001},
		{"OrdersCounted", late(`transaction_duration_seconds_bucket{`+second+`}`, `transactions_total`), 0.01},
		{"MessagesRead", late(`messages_read_duration_seconds_bucket{complete="true",le="2.5"}`, `messages_read_duration_seconds_count`), 0.01},
	}
}

// in is the share of bad events in a window.
func (o objective) in(window string) string { return strings.ReplaceAll(o.bad, "$w", window) }

// burning shows how fast each objective is used up: above 1, it won't last thirty days.
func burning() []panel {
	burn := func(window string) []query {
		var queries []query
		for _, o := range objectives() {
			queries = append(queries, query{fmt.Sprintf("(%s) / %g", o.in(window), o.allowed), o.name})
		}
		return queries
	}
	return []panel{
		{title: "Bad events of an hour", unit: number, description: "In multiples of what each objective allows. From 14.4 on somebody is called.", queries: burn("1h")},
		{title: "Bad events of a day", unit: number, description: "In multiples of what each objective allows. From 1 on it won't last thirty days; from 3 on there is an alert.", queries: burn("1d")},
	}
}
