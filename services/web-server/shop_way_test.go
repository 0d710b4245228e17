package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"shopstream/services/internal/testkit/brokertest"
)

const (
	wayID     = "019b7b5c-5b1e-7a3c-8f00-0123456789ab"
	storedWay = `{"eventId":"` + wayID + `","state":"stored","purchase":{"userid":"u","username":"n","price":32,"timestamp":1785000000.5,"product":"<i>Pen</i>"},` +
		`"way":[{"step":"accepted","at":"2026-07-25T17:20:00.5Z","topic":"purchases","partition":5,"offset":7,"topicId":"x"},{"step":"stored","at":"2026-07-25T17:20:00.543Z","lagSeconds":0.043}],` +
		`"traceId":"4bf92f3577b34da6a3ce929d0e0e4736"}`
	refusedWay = `{"eventId":"` + wayID + `","state":"dead-lettered","reason":"invalid","error":"price is <too> high",` +
		`"way":[{"step":"accepted","at":"2026-07-25T17:20:00.5Z","topic":"purchases","partition":5,"offset":7},{"step":"dead-lettered","at":"2026-07-25T17:21:05.5Z","lagSeconds":65,"topic":"purchases.dlq","partition":0,"offset":3}]}`
)

// The answer to a buy says where its record is.
func TestABuyHasItsPosition(t *testing.T) {
	k := brokertest.Start(t)
	topic := k.Topic(t, "purchases", 3, nil)
	s := start(t, k.BootstrapServers, topic, newUpstream(t).URL).ready(t)
	for n := range 6 {
		got := s.buy(t, purchaseOf(fmt.Sprint("u", n), 1)).data(t)
		for _, r := range k.Read(t, topic) {
			if decode(t, r).EventID == got.EventID && (got.Partition == nil || *got.Partition != r.Partition || got.Offset == nil || *got.Offset != r.Offset) {
				t.Errorf("%+v is not at partition %d, offset %d", got, r.Partition, r.Offset)
			}
		}
	}
}

func TestPageOfAWay(t *testing.T) {
	u := newUpstream(t)
	plain := serveWith(t, config{Currency: "USD", ManagementAPIURL: u.URL}, fakeKafka{})
	linked := serveWith(t, config{Currency: "USD", ManagementAPIURL: u.URL, Places: places{"/viewer", "http://jaeger/trace/{id}"}}, fakeKafka{})
	const record, trace = `href="/viewer#offset=7&amp;partition=5&amp;topic=purchases"`, `href="http://jaeger/trace/4bf92f3577b34da6a3ce929d0e0e4736"`
	for name, tt := range map[string]struct {
		shop    string
		answer  http.HandlerFunc
		status  int
		has, no []string
	}{
		"stored":   {plain, answerJSON(storedWay), 200, []string{"&lt;i&gt;Pen&lt;/i&gt;, 32.00 USD", "25 Jul 2026, 17:20:00.500 UTC", "purchases, partition 5, offset 7", "43 ms later", "<code>4bf92f3577b34da6a3ce929d0e0e4736</code>"}, []string{record, trace, "Check again"}},
		"linked":   {linked, answerJSON(storedWay), 200, []string{record, trace}, nil},
		"refused":  {linked, answerJSON(refusedWay), 200, []string{"price is &lt;too&gt; high", "1 min 5 s later", "purchases.dlq, partition 0, offset 3"}, []string{"trace "}},
		"accepted": {plain, func(w http.ResponseWriter, _ *http.Request) { writeProblem(w, 404, "not stored") }, 200, []string{"1 Jan 2026, 21:00:08.862 UTC", `href="/shop/way/` + wayID + `">Check again`}, []string{"stored</strong>"}},
		"away":     {plain, func(w http.ResponseWriter, _ *http.Request) { writeProblem(w, 503, "away") }, 503, []string{`role="alert"`, `href="/shop/way/` + wayID + `">Check again`}, []string{"<ol>"}},
		"nonsense": {plain, answerJSON(`[]`), 500, []string{`role="alert"`}, []string{"<ol>"}},
	} {
		u.answer(tt.answer)
		got := request(t, http.MethodGet, tt.shop+"/shop/way/"+wayID, "")
		if got.status != tt.status || !strings.Contains(got.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d %v", name, got.status, got.header)
		}
		for _, want := range tt.has {
			if !strings.Contains(string(got.body), want) {
				t.Errorf("%s: without %q: %s", name, want, got.body)
			}
		}
		for _, unwanted := range tt.no {
			if strings.Contains(string(got.body), unwanted) {
				t.Errorf("%s: with %q: %s", name, unwanted, got.body)
			}
		}
	}
	if got := request(t, http.MethodGet, plain+"/shop/way/1", ""); got.status != http.StatusNotFound {
		t.Errorf("an id that is none: %d", got.status)
	}
}

// The receipt shows the way of each purchase, and keeps it up to date.
func TestBrowserShowsTheWay(t *testing.T) {
	s, store, k, topic := newShopPage(t, "VIEWER_URL=/viewer")
	for _, width := range []int64{400, 1400} {
		b := openTab(t, s.url, width, 900)
		store.storing.Store(false)
		b.click(fmt.Sprintf(card, 1))
		b.see("the purchase is accepted", fmt.Sprintf(row, 1)+`?.classList.contains("accepted")`)
		const first = `document.querySelector(".purchase .way")`
		b.do(chromedp.Focus(chromedp.CSS(".purchase .way summary")), chromedp.KeyEvent("\r"))
		b.see("it was accepted, and no more", first+`.innerText.includes("accepted") && `+first+`.querySelectorAll("li").length === 1`)
		store.storing.Store(true)
		b.see("it is stored, with the time between", first+`.innerText.includes("stored") && / ms later| s later/.test(`+first+`.innerText)`)
		records := k.Read(t, topic)
		place := fmt.Sprintf("%s, partition %d, offset %d", topic, records[len(records)-1].Partition, records[len(records)-1].Offset)
		if width == 1400 { // the second purchase of this user, and so in the same partition
			b.see("the link leads to its record", first+`.querySelector("a.place")?.innerText === "`+place+`" && `+first+`.querySelector("a.place").getAttribute("href").startsWith("/viewer#topic=")`)
		}
		if got := b.eval(`document.documentElement.scrollWidth <= innerWidth`); got != "true" {
			t.Errorf("the page is wider than %d", width)
		}
		if b.faults.Load() > 0 {
			t.Error("the page had script errors")
		}
	}
}
