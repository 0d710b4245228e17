package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/testkit/brokertest"
)

// shopAt is a small platform on a real protocol: its topic, its group and its metrics.
type shopAt struct {
	*brokertest.Kafka
	topic, group string
	writer       *kgo.Client
	metrics      atomic.Pointer[string] // nil: they can't be read
	*service
}

func startShop(t *testing.T) *shopAt {
	t.Helper()
	k := brokertest.Start(t)
	s := &shopAt{Kafka: k, topic: k.Topic(t, "sales", 2, nil), group: brokertest.Unique("keepers"), writer: writer(t, k)}
	letters := k.Topic(t, "sales.dlq", 1, nil)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		metrics := s.metrics.Load()
		if metrics == nil || !strings.Contains(r.URL.Query().Get("match[]"), "up") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, *metrics)
	}))
	t.Cleanup(server.Close)
	s.serve(soldMetrics)
	drawn := strings.NewReplacer(`"sales"`, `"`+s.topic+`"`, `"sales.dlq"`, `"`+letters+`"`, `"keepers"`, `"`+s.group+`"`).Replace(sold)
	s.service = start(t, k.BootstrapServers, "METRICS_URL="+server.URL, "SYSTEM_PICTURE="+drawn)
	return s
}

func (s *shopAt) serve(metrics string) { s.metrics.Store(&metrics) }

func (s *shopAt) commit(t *testing.T, at int64) {
	t.Helper()
	offsets := kadm.Offsets{}
	offsets.AddOffset(s.topic, 0, at, -1)
	if err := s.Admin().CommitAllOffsets(t.Context(), s.group, offsets); err != nil {
		t.Fatal(err)
	}
}

// label is the text of a flow in the drawing that is visible.
func label(layout string, flow int) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#%s-l%d text")].map((e) => e.textContent).join(" ").trim()`, layout, flow)
}

func TestSystemPageShowsWhatHappens(t *testing.T) {
	t.Parallel()
	s := startShop(t)
	for range 4 {
		write(t, s.writer, &kgo.Record{Topic: s.topic, Partition: 0, Value: []byte("{}")})
	}
	s.commit(t, 1)
	b := openTab(t, s.url+"/system", 1400, 900)
	const summary = `document.querySelector("#summary").innerText`
	b.see("the wide drawing alone", `document.querySelector(".picture.wide").checkVisibility() && !document.querySelector(".picture.narrow").checkVisibility()`)
	b.see("the lag", label("wide", 2)+`.endsWith("lag 3")`)
	b.see("that nobody reads", `document.querySelector("#wide-l2").dataset.alarm === "true"`)
	b.see("rates after a second reading", label("wide", 1)+` === "0/s"`)

	b.do(chromedp.Focus(chromedp.CSS(`.picture.wide a[href^="/viewer#topic="]`)))
	write(t, s.writer, &kgo.Record{Topic: s.topic, Partition: 1, Value: []byte("{}")})
	b.see("a record flow", `/^(?!0\/s).*\/s$/.test(`+label("wide", 1)+`) && document.querySelector("#wide-w1").dataset.moves === "true"`)
	b.see("the same in words", `/ records\/s/.test(document.querySelector("#t-f1").innerText)`)
	b.see("the focus kept", `document.activeElement.matches(".picture.wide a")`)

	s.serve(strings.Replace(soldMetrics, `dependency="mongo"} 1`, `dependency="mongo"} 0`, 1))
	b.see("the database down", summary+`.startsWith("Down: MongoDB (does not answer)") && document.querySelector("#wide-p4").dataset.state === "down"`)
	s.metrics.Store(nil)
	b.see("what is not seen", `document.querySelector("#unseen").innerText.includes("The metrics cannot be read") && document.querySelector("#wide-p4").dataset.state === "unknown"`)
	s.serve(soldMetrics)
	b.see("it back", `document.querySelector("#unseen").children.length === 0 && document.querySelector("#wide-p4").dataset.state === "up"`)

	b.press(kb.Enter)
	b.see("the topic in the viewer", `location.pathname === "/viewer" && document.querySelectorAll("tr.row").length === 5`)
	if b.faults.Load() > 0 {
		t.Error("the page had script errors")
	}
}

func TestSystemPageOnAPhone(t *testing.T) {
	t.Parallel()
	s := startShop(t)
	s.commit(t, 0)
	b := openTab(t, s.url+"/system", 400, 800)
	b.see("the narrow drawing alone", `document.querySelector(".picture.narrow").checkVisibility() && !document.querySelector(".picture.wide").checkVisibility()`)
	b.see("a rate", label("narrow", 1)+` === "0/s"`)
	if got := b.eval(`document.documentElement.scrollWidth`); got != "400" {
		t.Errorf("the page is %s pixels wide on a phone of 400", got)
	}
	if got := b.eval(`[...document.querySelectorAll(".picture.narrow text")].every((e) => e.getBoundingClientRect().left >= 0 && e.getBoundingClientRect().right <= 400)`); got != "true" {
		t.Error("text is cut off")
	}
	b.do(chromedp.Click(chromedp.CSS("#theme"), chromedp.NodeVisible))
	b.see("the light theme", `document.documentElement.dataset.theme === "light"`)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	b.see("that the numbers are old", `document.querySelector("#fresh").dataset.state === "down" && document.querySelector("#stale").innerText.startsWith("api does not answer: what is shown is as of ")`)
	if b.faults.Load() > 0 {
		t.Error("the page had script errors")
	}
}

// Without JavaScript the page is whole too, and reloads by itself.
func TestSystemPageNeedsNoScript(t *testing.T) {
	t.Parallel()
	s := startShop(t)
	a := s.get(t, "/system")
	if csp := a.header.Get("Content-Security-Policy"); a.status != http.StatusOK || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("/system = %d, policy %q", a.status, csp)
	}
	for _, want := range []string{`<noscript><meta http-equiv="refresh"`, `>` + s.topic + `</text>`, `keeper`, `1 instance`} {
		if !strings.Contains(string(a.body), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, link := range regexp.MustCompile(`(?:src|href)="(/(?:viewer|system)[^"#]*|https?:[^"]*)"`).FindAllStringSubmatch(string(a.body), -1) {
		if strings.HasPrefix(link[1], "http") {
			t.Errorf("the page refers to %s", link[1])
		} else if a := s.get(t, link[1]); a.status != http.StatusOK {
			t.Errorf("GET %s = %d", link[1], a.status)
		}
	}
	if a := s.get(t, "/system/page.html"); a.status != http.StatusNotFound {
		t.Errorf("the template itself = %d", a.status)
	}
	// The default picture, with nothing but brokers.
	plain := start(t, s.BootstrapServers)
	if a := plain.get(t, "/system"); a.status != http.StatusOK || !strings.Contains(string(a.body), "METRICS_URL is not set") {
		t.Errorf("without metrics: %d %s", a.status, a.body)
	}
}
