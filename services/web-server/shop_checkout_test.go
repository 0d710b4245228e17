package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"shopstream/services/internal/kafkax"
)

// followNone returns redirects instead of following them.
var followNone = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// postForm sends a form as a browser does.
func postForm(t *testing.T, address string, form url.Values, header ...string) reply {
	t.Helper()
	got, err := send(followNone, http.MethodPost, address, form.Encode(), append(header, "Content-Type", "application/x-www-form-urlencoded")...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

var hiddenKey = regexp.MustCompile(`name="key" value="([^"]+)"`)

// offer opens the form for a product, and returns it filled in.
func offer(t *testing.T, shop, item string) url.Values {
	t.Helper()
	page := request(t, http.MethodGet, shop+"/shop/buy?product="+item+"&userid=ada-1001", "")
	key := hiddenKey.FindSubmatch(page.body)
	if page.status != 200 || key == nil {
		t.Fatalf("GET /shop/buy = %d %s", page.status, page.body)
	}
	return url.Values{"product": {item}, "username": {"Ada"}, "userid": {"ada-1001"}, "key": {string(key[1])}}
}

func TestCheckoutBuysOnce(t *testing.T) {
	var says error
	var sent []kafkax.Record
	shop := serveWith(t, config{Currency: "USD", ManagementAPIURL: "http://127.0.0.1:1"},
		sendFunc(func(_ context.Context, r kafkax.Record) (kafkax.Placed, error) {
			sent = append(sent, r)
			return kafkax.Placed{}, says
		}))
	form := offer(t, shop, "teapot")

	// Kafka may have accepted it all the same: what the page offers is the same purchase.
	says = kafkax.ErrUnavailable
	failed := postForm(t, shop+"/shop/buy", form)
	if failed.status != http.StatusServiceUnavailable || failed.header.Get("Retry-After") == "" || !strings.Contains(string(failed.body), "it is recorded once") {
		t.Errorf("without Kafka = %d %v %s", failed.status, failed.header, failed.body)
	}
	if again := hiddenKey.FindSubmatch(failed.body); again == nil || string(again[1]) != form.Get("key") {
		t.Errorf("the retry has another key than %s: %s", form.Get("key"), failed.body)
	}
	says = nil
	bought := postForm(t, shop+"/shop/buy", form)
	if bought.status != http.StatusSeeOther || !strings.HasPrefix(bought.header.Get("Location"), "/shop/purchases?") {
		t.Fatalf("buy = %d to %q", bought.status, bought.header.Get("Location"))
	}
	postForm(t, shop+"/shop/buy", form) // a second press
	ids := map[string]bool{}
	for _, r := range sent {
		p := string(r.Value)
		if !strings.Contains(p, `"username":"Ada","userid":"ada-1001","price":48,`) || !strings.Contains(p, `"product":"Stoneware teapot"`) {
			t.Errorf("record = %s", p)
		}
		ids[regexp.MustCompile(`"eventId":"([^"]+)"`).FindString(p)] = true
	}
	if len(sent) != 3 || len(ids) != 1 {
		t.Errorf("%d records of %d purchases, want 3 of 1", len(sent), len(ids))
	}
	if other := offer(t, shop, "teapot"); other.Get("key") == form.Get("key") {
		t.Error("two forms share a key")
	}
	says = fmt.Errorf("invalid record")
	if got := postForm(t, shop+"/shop/buy", form); got.status != http.StatusInternalServerError || !strings.Contains(string(got.body), "not bought") {
		t.Errorf("what Kafka refuses = %d %s", got.status, got.body)
	}
}

// Only the shop's own form buys, whatever origin the browser reports.
func TestCheckoutTakesNoFormsOfOtherSites(t *testing.T) {
	sent := 0
	shop := serveWith(t, config{Currency: "USD", ManagementAPIURL: "http://127.0.0.1:1"},
		sendFunc(func(context.Context, kafkax.Record) (kafkax.Placed, error) { sent++; return kafkax.Placed{}, nil }))
	form := offer(t, shop, "pen")
	for name, header := range map[string][]string{
		"another site":             {"Sec-Fetch-Site", "cross-site", "Origin", "https://elsewhere.example"},
		"a neighbour":              {"Sec-Fetch-Site", "same-site", "Origin", "http://other.example"},
		"over plain HTTP":          {"Origin", "http://elsewhere.example"},
		"a page without an origin": {"Origin", "null"},
	} {
		if got := postForm(t, shop+"/shop/buy", form, header...); got.status != http.StatusForbidden || sent > 0 {
			t.Errorf("%s: %d, %d sent", name, got.status, sent)
		}
	}
	for name, header := range map[string][]string{
		"the shop":                 {"Sec-Fetch-Site", "same-origin", "Origin", shop},
		"the shop over plain HTTP": {"Origin", shop},
		"no browser":               nil,
	} {
		sent = 0
		if got := postForm(t, shop+"/shop/buy", form, header...); got.status != http.StatusSeeOther || sent != 1 {
			t.Errorf("%s: %d, %d sent", name, got.status, sent)
		}
	}
}

func TestCheckoutNamesEachBadField(t *testing.T) {
	shop := serveWith(t, config{Currency: "USD", ManagementAPIURL: "http://127.0.0.1:1"},
		sendFunc(func(context.Context, kafkax.Record) (kafkax.Placed, error) {
			t.Error("it was sent")
			return kafkax.Placed{}, nil
		}))
	good := offer(t, shop, "clock")
	for name, tt := range map[string]struct {
		change func(url.Values)
		status int
		want   string
	}{
		"no name":             {func(f url.Values) { f.Set("username", "") }, 400, `id="username-wrong"`},
		"blank user id":       {func(f url.Values) { f.Set("userid", "  ") }, 400, `id="userid-wrong"`},
		"half of a surrogate": {func(f url.Values) { f.Set("userid", "x\xed\xa0\x80") }, 400, `id="userid-wrong"`},
		"two user ids":        {func(f url.Values) { f.Add("userid", "eve") }, 400, `id="userid-wrong"`},
		"no key":              {func(f url.Values) { f.Del("key") }, 400, "lost its key"},
		"a key that is none":  {func(f url.Values) { f.Set("key", "a\nb") }, 400, "lost its key"},
		"no product":          {func(f url.Values) { f.Set("product", "moon") }, 404, "no such thing"},
		"markup in a name":    {func(f url.Values) { f.Set("username", `"><script>`); f.Set("userid", "") }, 400, `value="&#34;&gt;&lt;script&gt;"`},
		"too large":           {func(f url.Values) { f.Set("username", strings.Repeat("x", maxBody)) }, 413, "could not be read"},
	} {
		form := url.Values{}
		for field, values := range good {
			form[field] = append([]string{}, values...)
		}
		tt.change(form)
		got := postForm(t, shop+"/shop/buy", form)
		if got.status != tt.status || !strings.Contains(string(got.body), tt.want) || strings.Contains(string(got.body), "<script") {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if csp := got.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self'") || strings.Contains(csp, "unsafe") || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", name, got.header)
		}
	}
}

func TestPurchasesAreListedInAPage(t *testing.T) {
	shop, u := withUpstream(t)
	list := func(path string) (int, string) {
		t.Helper()
		got := request(t, http.MethodGet, shop+path, "")
		return got.status, string(got.body)
	}
	u.answer(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/by-event/") {
			writeProblem(w, http.StatusNotFound, "not stored")
			return
		}
		w.Header().Set("Link", `</api/v1/purchases/u?before=abc>; rel="next"`)
		answerJSON(`[{"username":"<b>","userid":"u","price":19.99,"priceMinor":1999,"currency":"EUR","product":"<i>Pen</i>","timestamp":1785000000.5},{"username":"n","userid":"u","price":5,"timestamp":1}]`)(w, r)
	})
	status, page := list("/shop/purchases?userid=u&bought=019b7b5c-5b1e-7a3c-8f00-0123456789ab&product=pen")
	for _, want := range []string{"Fountain pen: accepted.", "&lt;i&gt;Pen&lt;/i&gt;", "19.99 EUR", "A purchase", "5.00 USD", `href="/shop/purchases?before=abc&amp;userid=u"`, `datetime="2026-07-25T17:20:00Z"`} {
		if status != 200 || !strings.Contains(page, want) {
			t.Errorf("%d without %q: %s", status, want, page)
		}
	}
	for state, want := range map[string]string{
		`{"state":"stored"}`: "Fountain pen: stored.",
		`{"state":"dead-lettered","reason":"invalid","error":"price is too high"}`: "Fountain pen: refused, price is too high.",
	} {
		u.answer(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/by-event/") {
				answerJSON(state)(w, r)
				return
			}
			answerJSON(`[]`)(w, r)
		})
		if status, page := list("/shop/purchases?userid=u&bought=019b7b5c-5b1e-7a3c-8f00-0123456789ab&product=pen"); status != 200 || !strings.Contains(page, want) || !strings.Contains(page, "Nothing yet") {
			t.Errorf("%d without %q: %s", status, want, page)
		}
	}
	for upstream, want := range map[int]int{400: 400, 404: 503, 500: 503, 503: 503} {
		u.answer(func(w http.ResponseWriter, _ *http.Request) { writeProblem(w, upstream, "so") })
		if status, page := list("/shop/purchases?userid=u"); status != want || !strings.Contains(page, `role="alert"`) || !strings.Contains(page, `value="u"`) {
			t.Errorf("%d for %d of management-api: %s", status, upstream, page)
		}
	}
	if status, page := list("/shop/purchases"); status != 200 || !strings.Contains(page, "List the purchases") || strings.Contains(page, "Nothing yet") {
		t.Errorf("without a user: %d %s", status, page)
	}
}

// disableScripts is for visitors without scripts, or a script that never arrives.
func (b *tab) disableScripts() {
	b.Helper()
	b.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}), chromedp.Reload(), chromedp.WaitVisible(chromedp.CSS(".product")))
}

func TestBrowserBuysWithoutScripts(t *testing.T) {
	s, store, k, topic := newShopPage(t)
	for _, size := range []struct{ width, height int64 }{{400, 800}, {1366, 768}} {
		b := openTab(t, s.url, size.width, size.height)
		b.disableScripts()
		user := fmt.Sprintf("own-%d", size.width)
		b.see("what takes a script is not shown", `![...document.querySelectorAll(".scripted")].some((e) => e.checkVisibility())`)
		b.click(`#shoppers label:nth-child(2)`)
		b.click(fmt.Sprintf(card, 7))
		b.see("the thing, and who buys it", `document.querySelector("h1")?.innerText === "Fountain pen, 32.00 USD" && document.querySelector("[name=username]").value === "Ben" && document.querySelector("[name=userid]").value === "ben-1002"`)
		b.eval(`document.querySelector("[name=userid]").value = "` + user + `"`)
		store.storing.Store(false)
		b.do(chromedp.SendKeys(chromedp.CSS("[name=username]"), kb.Enter))
		b.see("it is accepted", `document.querySelector("[role=status]")?.innerText.startsWith("Fountain pen: accepted.")`)
		store.storing.Store(true)
		b.click("[role=status] a")
		b.see("it is stored", `document.querySelector("[role=status]")?.innerText === "Fountain pen: stored." && document.querySelector(".purchase")?.innerText.includes("32.00 USD")`)
		b.do(chromedp.Reload()) // which would send a form again
		b.see("it is there once", `document.querySelectorAll(".purchase").length === 1`)
		if got := b.eval(`document.documentElement.scrollWidth <= innerWidth`); got != "true" {
			t.Errorf("the page is wider than %d", size.width)
		}
		b.click(`a[href="/"]`)
		b.do(chromedp.WaitVisible(chromedp.CSS("noscript button")))
		b.click("noscript button")
		b.see("the list of who is chosen", `document.querySelector("h1")?.innerText === "Purchases of ada-1001"`)
		bought := 0
		for _, r := range k.Read(t, topic) {
			if p := decode(t, r); p.UserID == user && p.Username == "Ben" && p.Product == "Fountain pen" {
				bought++
			}
		}
		if bought != 1 || b.faults.Load() > 0 {
			t.Errorf("%d purchases, %d faults of the page", bought, b.faults.Load())
		}
	}
}
