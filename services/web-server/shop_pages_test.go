package main

import (
	"strings"
	"testing"

	"github.com/a-h/templ"

	"shopstream/services/internal/httpx"
	"shopstream/services/internal/testkit/pagetest"
)

func rendered(t *testing.T, page templ.Component) string {
	t.Helper()
	var body strings.Builder
	if err := page.Render(t.Context(), &body); err != nil {
		t.Fatal(err)
	}
	return body.String()
}

// Anyone can buy as anyone, so that no name, id or product is to be trusted.
func TestPagesEscapeWhatTheyShow(t *testing.T) {
	lag, partition, offset := 0.5, int32(5), int64(7)
	for name, page := range map[string]func(value string) templ.Component{
		"the shop": func(v string) templ.Component {
			return shopPage(v, places{Viewer: httpx.Link(v), Trace: httpx.Link(v)})
		},
		"trouble": troublePage,
		"a thing to buy": func(v string) templ.Component {
			return buyPage(order{
				Product: product{ID: v, Name: v, Price: v}, Currency: v, Username: v, UserID: v, Key: v,
				Trouble: v, Uncertain: true, Faults: map[string]string{"username": v, "userid": v, "key": v},
			})
		},
		"a way": func(v string) templ.Component {
			there := places{Viewer: "/viewer", Trace: "https://traces.example/{id}"}
			return wayPage(way{
				ID: v, State: "accepted", What: v, Reason: v, TraceID: v, Trace: there.Trace.For(v),
				Steps: []wayStep{
					{Step: v, LagSeconds: &lag, Topic: v, Partition: &partition, Offset: &offset},
					{Step: "dead-lettered", Topic: v, Partition: &partition, Offset: &offset, Record: there.record(v, partition, offset)},
				},
			})
		},
		"a way without links": func(v string) templ.Component { return wayPage(way{TraceID: v}) },
		"no way":              func(v string) templ.Component { return wayPage(way{ID: v, Trouble: v}) },
		"purchases": func(v string) templ.Component {
			return purchasesPage(purchaseList{
				UserID: v, Purchases: []purchase{{Currency: v, Product: v, EventID: v}},
				Bought: &bought{Product: v, State: "accepted"},
			})
		},
		"no purchases": func(v string) templ.Component { return purchasesPage(purchaseList{UserID: v, Trouble: v}) },
		"stored":       func(v string) templ.Component { return justBought(&bought{Product: v, State: "stored"}) },
		"refused":      func(v string) templ.Component { return justBought(&bought{Product: v, State: v, Reason: v, ID: v}) },
		"refused, but not why": func(v string) templ.Component {
			return justBought(&bought{Product: v, State: "dead-lettered", ID: v})
		},
	} {
		t.Run(name, func(t *testing.T) {
			pagetest.Escapes(t, func(value string) string { return rendered(t, page(value)) })
		})
	}
}

// Addresses are the shop's own or from its configuration. Were one a script, it would not run.
func TestPagesLinkToNoScript(t *testing.T) {
	for _, script := range []string{"javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "java\tscript:alert(1)", "data:text/html,<script>alert(1)</script>", "vbscript:x"} {
		partition, offset := int32(5), int64(7)
		for name, page := range map[string]templ.Component{
			"a way": wayPage(way{TraceID: "4bf9", Trace: script, Steps: []wayStep{{Partition: &partition, Offset: &offset, Record: script}}}),
			"purchases": purchasesPage(purchaseList{
				UserID: "ada", Older: script, Bought: &bought{State: "accepted", Again: script},
			}),
		} {
			if got := rendered(t, page); strings.Count(got, `href="about:invalid#`) != 2 || strings.Contains(strings.ToLower(got), "script:") {
				t.Errorf("%s links to %q: %s", name, script, got)
			}
		}
	}
}
