package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"shopstream/services/internal/event"
	"shopstream/services/internal/testkit/brokertest"
)

// tab is a browser with the shop page open.
type tab struct {
	testing.TB
	context.Context
	faults atomic.Int32 // script errors and violations of the policy
}

// openTab starts a new Chromium, so that nothing is remembered.
func openTab(t testing.TB, url string, width, height int64) *tab {
	t.Helper()
	var chromium string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			chromium = path
			break
		}
	}
	if chromium == "" {
		t.Skip("SKIP: no Chromium is installed")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	b := &tab{TB: t, Context: ctx}
	b.do() // starts the browser
	exceptions, entries := chromedp.Events(ctx, runtime.ExceptionThrown), chromedp.Events(ctx, cdplog.EntryAdded)
	var watching sync.WaitGroup
	t.Cleanup(func() { cancel(); stop(); watching.Wait() }) // a closed tab ends the events
	watching.Go(func() {
		for e, err := range exceptions {
			if err == nil {
				b.faults.Add(1)
				t.Logf("script error: %s", e.ExceptionDetails.Text)
			}
		}
	})
	watching.Go(func() {
		for e, err := range entries {
			if err == nil && e.Entry.Source == cdplog.EntrySourceSecurity {
				b.faults.Add(1)
				t.Logf("refused by the policy: %s", e.Entry.Text)
			}
		}
	})
	size := chromedp.EmulateViewport(width, height)
	if width < 600 {
		size = chromedp.EmulateViewport(width, height, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	b.do(size, chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS(".product")))
	return b
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b, actions...); err != nil {
		b.Fatalf("browser: %v", err)
	}
}

// see waits until a script returns true. (chromedp's own Poll needs eval, which the page's
// policy forbids.)
func (b *tab) see(what, script string) {
	b.Helper()
	for deadline := time.Now().Add(30 * time.Second); b.eval("Boolean("+script+")") != "true"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("never saw that %s:\n%s", what, b.eval(`document.body.innerText`))
		}
	}
}

func (b *tab) eval(script string) string {
	b.Helper()
	got, err := chromedp.Run(b, chromedp.Evaluate[string](`String(`+script+`)`))
	if err != nil {
		b.Fatalf("browser: %s: %v", script, err)
	}
	return got
}

func (b *tab) click(selector string) {
	b.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// fakeStore is a management-api that "stores" the purchases on the topic, while it works.
type fakeStore struct {
	*upstream
	working atomic.Bool // its database answers
	storing atomic.Bool // its consumer makes progress
	refused atomic.Value
}

func newFakeStore(t testing.TB, k *brokertest.Kafka, topic string) *fakeStore {
	t.Helper()
	f := &fakeStore{upstream: newUpstream(t)}
	f.working.Store(true)
	f.storing.Store(true)
	f.refused.Store("")
	var stored []event.Purchase
	ways := map[string]string{} // by event id
	f.answer(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock() // one at a time
		defer f.mu.Unlock()
		if !f.working.Load() {
			w.Header().Set("Retry-After", "1")
			writeProblem(w, http.StatusServiceUnavailable, "the database is away")
			return
		}
		if f.storing.Load() {
			for _, record := range k.Read(t, topic) {
				p := decode(t, record)
				if p.UserID != f.refused.Load() && !slices.ContainsFunc(stored, func(s event.Purchase) bool { return s.EventID == p.EventID }) {
					stored = append(stored, p)
					ways[p.EventID] = fmt.Sprintf(`[{"step":"accepted","at":%q,"topic":%q,"partition":%d,"offset":%d},{"step":"stored","at":%q,"lagSeconds":%f}]`,
						p.Timestamp.Format(time.RFC3339Nano), record.Topic, record.Partition, record.Offset, time.Now().Format(time.RFC3339Nano), time.Since(p.Timestamp.Time).Seconds())
				}
			}
			slices.SortFunc(stored, func(a, b event.Purchase) int { return b.Timestamp.Compare(a.Timestamp.Time) })
		}
		w.Header().Set("Content-Type", "application/json")
		if id, ok := strings.CutPrefix(r.URL.Path, "/api/v1/purchases/by-event/"); ok {
			for _, p := range stored {
				if p.EventID == id {
					_ = json.NewEncoder(w).Encode(map[string]any{"eventId": id, "state": "stored", "purchase": p, "way": json.RawMessage(ways[id])})
					return
				}
			}
			if f.refused.Load() != "" {
				_ = json.NewEncoder(w).Encode(map[string]any{"eventId": id, "state": "dead-lettered", "reason": "invalid", "error": "price is too high"})
				return
			}
			writeProblem(w, http.StatusNotFound, "not stored")
			return
		}
		user := strings.TrimPrefix(r.URL.Path, "/api/v1/purchases/")
		mine := slices.DeleteFunc(slices.Clone(stored), func(p event.Purchase) bool { return p.UserID != user })
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		before, _ := strconv.Atoi(r.URL.Query().Get("before"))
		mine = mine[min(before, len(mine)):]
		if len(mine) > limit {
			mine = mine[:limit]
			w.Header().Set("Link", fmt.Sprintf(`<%s?before=%d&limit=%d>; rel="next"`, r.URL.EscapedPath(), before+limit, limit))
		}
		_ = json.NewEncoder(w).Encode(append([]event.Purchase{}, mine...))
	})
	return f
}

// newShopPage returns the whole service with a store behind it.
func newShopPage(t testing.TB, environ ...string) (*service, *fakeStore, *brokertest.Kafka, string) {
	t.Helper()
	k := brokertest.Start(t)
	topic := k.Topic(t, "purchases", 3, nil)
	store := newFakeStore(t, k, topic)
	return start(t, k.BootstrapServers, topic, store.URL, environ...).ready(t), store, k, topic
}

const (
	card = `.product:nth-child(%d) .buy`
	row  = `document.querySelector(".purchase:nth-child(%d)")`
)

func TestBrowserBuys(t *testing.T) {
	s, store, k, topic := newShopPage(t)
	b := openTab(t, s.url, 1280, 900)
	b.see("the list is empty", `document.querySelector("#empty").innerText.startsWith("Nothing yet")`)

	store.storing.Store(false)
	b.click(fmt.Sprintf(card, 1))
	b.see("the purchase is accepted", fmt.Sprintf(row, 1)+`?.classList.contains("accepted")`)
	if got := b.eval(fmt.Sprintf(row, 1) + `.innerText`); !strings.Contains(got, "Stoneware teapot") || !strings.Contains(got, "48.00") {
		t.Errorf("row = %q", got)
	}
	store.storing.Store(true)
	b.see("the purchase is stored", fmt.Sprintf(row, 1)+`?.classList.contains("stored")`)

	// By keyboard: focus the button, press Enter.
	b.do(chromedp.Focus(chromedp.CSS(fmt.Sprintf(card, 3))), chromedp.KeyEvent(kb.Enter))
	b.see("two are stored", `document.querySelectorAll(".purchase.stored").length === 2`)
	if got := b.eval(`document.activeElement === document.querySelector(".product:nth-child(3) .buy")`); got != "true" {
		t.Error("the focus was lost")
	}
	b.see("the total is right", `document.querySelector("#total dd").innerText.includes("127.00")`)
	b.see("it was said", `document.querySelector("#say").textContent.includes("Reading lamp")`)

	// The functions of the original system are in their own section; the receipt is for
	// customers.
	if got := b.eval(`document.querySelector("#purchases").innerText`); strings.Contains(got, "/api/") {
		t.Errorf("the receipt shows a request: %s", got)
	}
	b.click("#developers summary")
	b.see("the list of all buys is linked", `document.querySelector("#source").checkVisibility() && document.querySelector("#source").pathname === "/api/v1/getAllUserBuys/ada-1001"`)
	for i := range 10 {
		b.click("#random")
		b.see("the random purchase is there", fmt.Sprintf(`document.querySelectorAll(".purchase").length === %d`, i+3))
	}
	b.see("all are stored", `document.querySelectorAll(".purchase.stored").length === 12`)
	b.do(chromedp.Reload(), chromedp.WaitVisible(chromedp.CSS("#older")))
	b.see("a page is shown", `document.querySelectorAll(".purchase").length === 10`)
	b.click("#older")
	b.see("the older ones too", `document.querySelectorAll(".purchase").length === 12 && document.querySelector("#older").hidden`)
	const names = `[...document.querySelectorAll(".what")].map((e) => e.innerText).join("; ")`
	receipt := b.eval(names)
	if !strings.HasSuffix(receipt, "Reading lamp; Stoneware teapot") || strings.Contains(receipt, "A purchase") {
		t.Errorf("the receipt names %s", receipt)
	}
	// Another browser has no local state, and shows the same receipt.
	other := openTab(t, s.url, 1280, 900)
	other.see("a page is shown there", `document.querySelectorAll(".purchase").length === 10`)
	other.click("#older")
	other.see("the older ones too", `document.querySelectorAll(".purchase").length === 12`)
	if got := other.eval(names); got != receipt {
		t.Errorf("the receipt in another browser names %s, in the first %s", got, receipt)
	}

	seen := map[string]bool{}
	for _, r := range k.Read(t, topic) {
		p := decode(t, r)
		if p.UserID != "ada-1001" || p.Username != "Ada" || seen[p.EventID] {
			t.Errorf("record = %s", r.Value)
		}
		seen[p.EventID] = true
	}
	if len(seen) != 12 {
		t.Errorf("%d events for 12 presses", len(seen))
	}
	if b.faults.Load() > 0 {
		t.Error("the page had script errors")
	}
}

func TestBrowserOwnUser(t *testing.T) {
	s, store, k, topic := newShopPage(t)
	b := openTab(t, s.url, 360, 740)
	if got := b.eval(`document.documentElement.scrollWidth <= 360`); got != "true" {
		t.Error("the page is wider than the phone")
	}
	b.click("#other")
	b.do(chromedp.WaitVisible(chromedp.CSS("#someone")))
	b.click("#someone button")
	b.see("the name is asked for", `document.activeElement.name === "name" && document.querySelector("#someone-wrong").innerText !== ""`)
	const name, id = `<b>Élise</b> & "co"`, `a/b+c ü?#%`
	b.do(chromedp.SendKeys(chromedp.CSS(`#someone [name=name]`), name), chromedp.SendKeys(chromedp.CSS(`#someone [name=id]`), id+kb.Enter))
	b.see("it is that user's list", `document.querySelector("#receipt-title").innerText.includes('<b>Élise</b>')`)
	store.refused.Store(id)
	b.click(fmt.Sprintf(card, 12))
	b.see("it was refused, with the reason", `document.querySelector(".purchase.refused .state")?.innerText.includes("price is too high")`)
	b.see("a refused one costs nothing", `document.querySelector("#total").hidden`)
	store.refused.Store("")
	b.click(fmt.Sprintf(card, 2))
	b.see("the next is stored", `document.querySelectorAll(".purchase.stored").length >= 1`)
	for _, r := range k.Read(t, topic) {
		if p := decode(t, r); p.UserID != id || p.Username != name {
			t.Errorf("record = %s", r.Value)
		}
	}
	b.do(chromedp.Reload(), chromedp.WaitVisible(chromedp.CSS(".product")))
	b.see("the user is remembered", `document.querySelector("#receipt-title").innerText.includes('<b>Élise</b>')`)
	if b.faults.Load() > 0 {
		t.Error("the page had script errors")
	}
}

// While management-api is unreachable, buying works, and the list comes back by itself.
func TestBrowserWithoutTheList(t *testing.T) {
	s, store, _, _ := newShopPage(t)
	store.working.Store(false)
	b := openTab(t, s.url, 1280, 900)
	b.see("it says that the list is away", `!document.querySelector("#no-list").hidden`)
	b.click(fmt.Sprintf(card, 1))
	b.see("the purchase is accepted", fmt.Sprintf(row, 1)+`?.classList.contains("accepted")`)
	store.working.Store(true)
	b.see("the list is back", `document.querySelector("#no-list").hidden`)
	b.see("the purchase is stored", fmt.Sprintf(row, 1)+`?.classList.contains("stored")`)
}

// While Kafka is unreachable, the purchase is not accepted; retrying until it is makes one
// purchase.
func TestBrowserWithoutKafka(t *testing.T) {
	k := embedded(t)
	topic := k.Topic(t, "purchases", 1, nil)
	store := newFakeStore(t, k, topic)
	s := start(t, k.BootstrapServers, topic, store.URL, "ACK_TIMEOUT=500ms").ready(t)
	b := openTab(t, s.url, 1280, 900)

	hold := holdProduce(k)
	b.click(fmt.Sprintf(card, 1))
	b.see("it says that it was not accepted", `!document.querySelector("#not-accepted").hidden`)
	if got := b.eval(`document.querySelector("#not-accepted").innerText`); !strings.Contains(got, "Stoneware teapot") {
		t.Errorf("banner = %q", got)
	}
	if got := b.eval(`document.querySelectorAll(".purchase").length`); got != "0" {
		t.Error("the purchase is listed")
	}
	hold.release()
	b.click("#not-accepted button")
	b.see("it is stored in the end", `document.querySelectorAll(".purchase.stored").length === 1`)
	b.see("the banner is gone", `document.querySelector("#not-accepted").hidden`)

	ids := map[string]bool{}
	for _, r := range k.Read(t, topic) {
		ids[decode(t, r).EventID] = true
	}
	if len(ids) != 1 {
		t.Errorf("%d events for one purchase", len(ids))
	}
}

// What the page shows at first doesn't move: neither for a new visitor, nor for one who comes
// back with their own user and purchases.
func TestBrowserLayoutStaysStill(t *testing.T) {
	s, _, _, _ := newShopPage(t)
	slow := slowScript(t, s.url)
	for _, size := range []struct{ width, height int64 }{{400, 800}, {1366, 768}} {
		t.Run(strconv.FormatInt(size.width, 10), func(t *testing.T) {
			b := openTab(t, slow, size.width, size.height)
			check := func(visitor string) {
				t.Helper()
				got, err := strconv.ParseFloat(b.layoutShift(), 64)
				t.Logf("layout shift of %s: %.4f", visitor, got)
				if err != nil || got >= 0.05 {
					t.Errorf("layout shift of %s = %v, want less than 0.05 (%v)", visitor, got, err)
				}
			}
			b.see("the list is loaded", `document.querySelector("#empty").innerText.startsWith("Nothing yet") || document.querySelector(".purchase")`)
			check("a newcomer")

			b.eval(`localStorage.setItem("shopstream.shopper", JSON.stringify({ id: "own-` + strconv.FormatInt(size.width, 10) + `", name: "Somebody with a long name" }))`)
			b.do(chromedp.Reload(), chromedp.WaitVisible(chromedp.CSS(".product")))
			b.click(fmt.Sprintf(card, 1))
			b.see("the purchase is stored", `document.querySelector(".purchase.stored")`)
			b.do(chromedp.Reload(), chromedp.WaitVisible(chromedp.CSS(".product")))
			b.see("the list is loaded", `document.querySelector(".purchase.stored")`)
			check("a visitor who comes back")
		})
	}
}

// slowScript serves the shop with a script that arrives after the first paint, as on a slow
// network.
func slowScript(t testing.TB, shop string) string {
	t.Helper()
	target, err := url.Parse(shop)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/shop/app.js" {
			time.Sleep(700 * time.Millisecond)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// layoutShift returns the sum of the page's layout shifts since it was loaded. Those that the
// browser attributes to input count too: there is no input, but the browser takes the
// emulated window size for some.
func (b *tab) layoutShift() string {
	b.Helper()
	b.eval(`(() => {
		window.shifted = null;
		new PerformanceObserver((list, observer) => {
			window.shifted = list.getEntries().reduce((sum, e) => sum + e.value, 0);
		}).observe({ type: "layout-shift", buffered: true });
		// Two frames later, everything painted so far is in the buffer.
		requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => { window.shifted ??= 0; window.counted = true }, 100)));
	})()`)
	b.see("the shifts are counted", `window.counted`)
	return b.eval(`window.shifted`)
}
