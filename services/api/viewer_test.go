package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/testkit/broker"
	"shopstream/services/internal/testkit/brokertest"
	"shopstream/services/internal/testkit/freeport"
)

// tab is a browser with the viewer open.
type tab struct {
	testing.TB
	context.Context
	faults atomic.Int32 // script errors
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
		t.Skip("no Chromium is installed")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	b := &tab{TB: t, Context: ctx}
	b.do() // starts the browser
	exceptions := chromedp.Events(ctx, runtime.ExceptionThrown)
	go func() {
		for e, err := range exceptions {
			if err != nil {
				return // the tab is closed
			}
			b.faults.Add(1)
			t.Logf("script error: %s", e.ExceptionDetails.Text)
		}
	}()
	size := chromedp.EmulateViewport(width, height)
	if width < 600 {
		size = chromedp.EmulateViewport(width, height, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	b.do(size, chromedp.Navigate(url))
	return b
}

// download does what makes the page save a file, and returns the file's content.
func (b *tab) download(actions ...chromedp.Action[chromedp.Void]) string {
	b.Helper()
	dir, said := b.TempDir(), true
	ctx, cancel := context.WithTimeout(b, 30*time.Second)
	defer cancel()
	progress := chromedp.Events(ctx, browser.DownloadProgress)
	b.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
			Behavior: browser.SetDownloadBehaviorBehaviorAllowAndName, DownloadPath: dir, EventsEnabled: &said,
		})
		return err
	}))
	b.do(actions...)
	for e, err := range progress {
		if err != nil {
			b.Fatalf("download: %v", err)
		}
		if e.State == browser.DownloadProgressStateCompleted {
			content, err := os.ReadFile(filepath.Join(dir, e.GUID))
			if err != nil {
				b.Fatal(err)
			}
			return string(content)
		}
	}
	b.Fatal("nothing was downloaded")
	return ""
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b, actions...); err != nil {
		b.Fatalf("browser: %v", err)
	}
}

func (b *tab) press(keys string) {
	b.Helper()
	b.do(chromedp.KeyEvent(keys))
}

func (b *tab) eval(script string) string {
	b.Helper()
	got, err := chromedp.Run(b, chromedp.Evaluate[string](`String(`+script+`)`))
	if err != nil {
		b.Fatalf("browser: %s: %v", script, err)
	}
	return got
}

// see waits until a script returns true. (chromedp's own Poll needs eval, which the
// page's policy forbids.)
func (b *tab) see(what, script string) {
	b.Helper()
	for deadline := time.Now().Add(30 * time.Second); b.eval("Boolean("+script+")") != "true"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("never saw %s at %s:\n%s", what, b.eval(`location.hash`), b.eval(`document.body.innerText`))
		}
	}
}

// seeRows waits for a number of visible records.
func (b *tab) seeRows(n int) {
	b.Helper()
	b.see(fmt.Sprintf("%d records", n), fmt.Sprintf(`document.querySelectorAll("tr.row:not([hidden])").length === %d`, n))
}

func TestViewerShowsMessages(t *testing.T) {
	t.Parallel()
	k := brokertest.Start(t)
	topic := k.Topic(t, "viewed", 2, nil)
	const attack = `<img src=x onerror="window.attacked=1"><script>window.attacked=1</script>`
	at := time.Now().Add(-time.Minute)
	records := []*kgo.Record{
		{Partition: 0, Key: []byte("exact"), Value: []byte(`{"id":12345678901234567890,"price":1.0,"note":"two\u0000words"}`)},
		{Partition: 1, Key: []byte(attack), Value: []byte(`{"html":"` + strings.ReplaceAll(attack, `"`, `\"`) + `"}`), Headers: []kgo.RecordHeader{{Key: attack, Value: []byte(attack)}}},
		{Partition: 1, Key: []byte("dead"), Value: nil},
		{Partition: 0, Key: nil, Value: []byte{0xff, 0x00, 0xfe}},
		{Partition: 0, Key: []byte("plain"), Value: []byte("turned \u202e round, \x1b[31m red")},
	}
	for i, r := range records {
		r.Topic, r.Timestamp = topic, at.Add(time.Duration(i)*time.Second)
	}
	client := writer(t, k)
	write(t, client, records...)
	s := start(t, k.BootstrapServers)
	b := openTab(t, s.url+"/viewer#topic="+topic, 1280, 860)

	b.seeRows(len(records))
	b.see("the topic marked among the topics", `document.querySelector("#topics [aria-current]")?.innerText.startsWith(document.querySelector("#topic-name").innerText)`)
	b.see("Kafka up", `document.querySelector("#kafka").innerText === "Kafka up"`)
	for row, want := range []string{`turned \u202e round, \u001b[31m red`, "binary ff 00 fe", "tombstone", "<script>", "12345678901234567890"} {
		if got := b.eval(fmt.Sprintf(`document.querySelectorAll("tr.row .value")[%d].textContent`, row)); !strings.Contains(got, want) {
			t.Errorf("row %d = %q, want %q in it", row, got, want)
		}
	}

	// The filter finds what is typed; the rest is one key press away.
	b.press("/")
	b.see("the filter focused", `document.activeElement.id === "filter"`)
	b.press(kb.Backspace) // the protocol types the slash too; a keyboard does not
	b.press("ExAcT")
	b.seeRows(1)
	b.see("the limits of a filter said", `document.querySelector("#loaded").innerText.startsWith("1 of 5 loaded records match. Filters see loaded records only")`)
	b.see("the filter in the address", `location.hash.includes("q=ExAcT")`)
	// What is shown can be saved as a file.
	exported := b.download(chromedp.Click(chromedp.CSS("#export"), chromedp.NodeVisible))
	if answer := string(s.get(t, "/messages?topic="+topic).body); !strings.HasPrefix(exported, `{"topic":"`) || !strings.HasSuffix(answer, exported[:len(exported)-1]+"]\n") {
		t.Errorf("exported %q of %s", exported, answer)
	}
	b.do(chromedp.Focus(chromedp.CSS("#filter")))
	b.press(kb.Enter) // to the first match
	b.press(kb.Enter) // opens it
	b.see("the record opened", `document.querySelector("tr.detail pre")?.innerText.includes('"id": 12345678901234567890,\n  "price": 1.0,')`)
	b.press("/")
	b.press(kb.Escape)
	b.seeRows(len(records))

	// Content of records stays text, also when opened.
	b.eval(`document.querySelectorAll("tr.row").forEach((row) => row.nextSibling?.className === "detail" || row.click())`)
	b.see("all opened", `document.querySelectorAll("tr.detail").length === 5`)
	b.see("the header shown", `document.querySelector("table.headers")?.innerText.includes("onerror")`)
	if got := b.eval(`document.querySelectorAll("#records img, #records script").length + " " + window.attacked`); got != "0 undefined" {
		t.Errorf("a record became markup: %s", got)
	}

	// Older records by the cursor, five more than a page holds.
	for i := range 55 {
		write(t, client, &kgo.Record{Topic: topic, Partition: int32(i % 2), Key: fmt.Appendf(nil, "n%d", i), Value: []byte(`{}`)})
	}
	b.eval(`document.activeElement.blur()`)
	b.press("r")
	b.seeRows(50)
	b.press("o")
	b.seeRows(60)
	b.see("the beginning said", `document.querySelector("#end").innerText === "That is the beginning of the topic."`)
	b.do(chromedp.Click(chromedp.CSS(`.partition:nth-child(3)`), chromedp.NodeVisible))
	b.seeRows(29)
	if b.faults.Load() > 0 {
		t.Error("the page had script errors")
	}
}

func TestViewerFollowsLive(t *testing.T) {
	t.Parallel()
	k := brokertest.Start(t)
	topic := k.Topic(t, "followed", 2, nil)
	s := start(t, k.BootstrapServers)
	b := openTab(t, s.url+"/viewer#topic="+topic, 1280, 860)
	b.see("an empty topic", `document.querySelector("#empty").innerText.startsWith("An empty topic")`)
	b.press("l")
	b.see("it live", `document.querySelector("#live-text").innerText === "Live"`)
	client := writer(t, k)
	write(t, client, &kgo.Record{Topic: topic, Partition: 0, Key: []byte("first"), Value: []byte("1")})
	b.seeRows(1)
	b.press("p")
	b.see("the pause", `document.querySelector("#live-text").innerText === "Paused"`)
	write(t, client, &kgo.Record{Topic: topic, Partition: 1, Key: []byte("second"), Value: []byte("2")})
	b.see("one held back", `document.querySelector("#live-note").innerText.includes("1 waiting")`)
	b.seeRows(1)
	b.press("p")
	b.seeRows(2)
	b.see("the newest on top", `document.querySelector("tr.row .key").innerText === "second"`)
	b.press("l")
	b.see("the end of it", `document.querySelector("#live-strip").hidden`)
	if b.faults.Load() > 0 {
		t.Error("the page had script errors")
	}
}

// What can't be read, and what numbers and times mean, is said in words, on the most
// common screen size.
func TestViewerExplainsWhatItShows(t *testing.T) {
	t.Parallel()
	k := brokertest.Start(t)
	if k.Embedded == nil {
		t.Skip("a real broker refuses broken batches")
	}
	topic := k.Topic(t, "explained", 1, nil)
	at := time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC)
	value := []byte(`{"userid":"user-12345678","price":19.99,"eventId":"0195a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"}`)
	client := writer(t, k)
	write(t, client, &kgo.Record{Topic: topic, Key: []byte("0195a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"), Value: value, Timestamp: at})
	k.ProduceRaw(t, topic, 0, brokertest.Batch{Codec: kgo.ZstdCompression(), Payload: []byte("no zstd"), Count: 1}.Bytes(t))
	write(t, client, &kgo.Record{Topic: topic, Key: []byte("0195a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"), Value: value, Timestamp: at})
	s := start(t, k.BootstrapServers)
	b := openTab(t, s.url+"/viewer#topic="+topic, 1366, 768)

	b.seeRows(2)
	b.see("what was left out", `document.querySelector("#note").innerText === "Left out, because it cannot be read: partition 0, offset 1 (cannot be decompressed)."`)
	b.see("the beginning said all the same", `document.querySelector("#end").innerText === "That is the beginning of the topic."`)
	b.see("a count with its unit", `document.querySelector("#topics [aria-current] .topic-item-count").innerText === "≤ 3 records"`)
	b.see("why it is not exact", `document.querySelector("#topics [aria-current] .topic-item-count").title.startsWith("3 offsets")`)
	b.see("date and time", `/^\d{4}-\d\d-\d\d \d\d:06:07\.089$/.test(document.querySelector("tr.row time").innerText)`)
	b.see("all of it", `document.querySelector("tr.row .time").scrollWidth <= document.querySelector("tr.row .time").clientWidth`)
	b.see("the same in UTC", `document.querySelector("tr.row time").title === "2026-03-04T05:06:07.089Z (UTC)"`)
	if got := b.eval(`document.querySelector("tr.row .value").offsetWidth / innerWidth > 0.48`); got != "true" {
		t.Errorf("beside a long key the value has %s pixels of 1366", b.eval(`document.querySelector("tr.row .value").offsetWidth`))
	}
	if b.faults.Load() > 0 {
		t.Error("the page had script errors")
	}
}

// On a phone, with a token in the address.
func TestViewerShowsLag(t *testing.T) {
	t.Parallel()
	k := brokertest.Start(t)
	topic := k.Topic(t, "lagging", 2, nil)
	client := writer(t, k)
	for i := range 8 {
		write(t, client, &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: []byte("{}")})
	}
	group := brokertest.Unique("laggards")
	commit := func(at int64) {
		t.Helper()
		offsets := kadm.Offsets{}
		offsets.AddOffset(topic, 0, at, -1)
		offsets.AddOffset(topic, 1, 4, -1)
		if err := k.Admin().CommitAllOffsets(t.Context(), group, offsets); err != nil {
			t.Fatal(err)
		}
	}
	commit(1)
	s := start(t, k.BootstrapServers, "API_TOKEN=hush")
	b := openTab(t, strings.Replace(s.url, "http://", "http://me:hush@", 1)+"/viewer#view=groups", 360, 740)

	// The broker may have other groups; this one is found by its name.
	legend := fmt.Sprintf(`[...document.querySelectorAll(".legend-item")].find((e) => e.innerText.includes(%q))?.querySelector("b").innerText`, group)
	card := fmt.Sprintf(`document.querySelector('[data-group="%s"]')`, group)
	b.see("the lag", card+`?.innerText.includes("3 records behind")`)
	b.see("it by partition", `[...`+card+`.querySelectorAll("tbody tr")].map((row) => row.innerText.split(/\s+/).slice(0, 4).join(" ")).join() === "p0 1 4 3,p1 4 4 0"`)
	b.see("it in the legend", legend+` === "3"`)
	member, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(k.BootstrapServers, ",")...), kgo.ConsumerGroup(brokertest.Unique("present")), kgo.ConsumeTopics(topic), kgo.ClientID("reader-0"))
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	member.PollFetches(t.Context())
	b.see("who is in a group", `[...document.querySelectorAll(".consumers tbody tr")].some((row) => /^reader-0\s+\S+\s+p0, p1\s+(0|–)$/.test(row.innerText))`)
	commit(2)
	b.see("the lag fall", legend+` === "2"`)
	b.see("a line of two readings", `[...document.querySelectorAll("#lag-chart polyline")].some((line) => line.getAttribute("points").split(" ").length > 1)`)
	b.see("both axes named", `document.querySelector("#lag-chart").textContent.includes("records behind") && document.querySelector("#lag-chart").textContent.includes("local time")`)
	b.do(chromedp.Focus(chromedp.CSS("#lag-chart")))
	b.press(kb.Home)
	b.see("the first reading read out", legend+` === "3" && document.querySelector("#lag-chart").getAttribute("aria-valuetext").includes(" 3")`)
	for _, lag := range []string{"3", "888.8M"} {
		if got := b.eval(`(document.querySelector("#tab-groups-lag").textContent = "` + lag + `", document.documentElement.scrollWidth)`); got != "360" {
			t.Errorf("with a lag of %s the page is %s pixels wide on a phone of 360", lag, got)
		}
	}
	b.do(chromedp.Click(chromedp.CSS("#tab-topics"), chromedp.NodeVisible))
	b.do(chromedp.Click(chromedp.CSS(`[data-topic="`+topic+`"] a`), chromedp.NodeVisible))
	b.seeRows(8)
	b.see("who reads the topic", fmt.Sprintf(`document.querySelector("#topic-groups").innerText.includes("%s lag 2")`, group))
	b.do(chromedp.Click(chromedp.CSS("#live"), chromedp.NodeVisible))
	b.see("it live, with the same token", `document.querySelector("#live-text").innerText === "Live"`)
	if b.faults.Load() > 0 {
		t.Error("the page had script errors")
	}
}

// A broker of its own, which stops and comes back with the same data.
func TestViewerWithoutKafka(t *testing.T) {
	t.Parallel()
	port := freeport.Get(t)
	options := broker.Options{Ports: []int{port}, DataDir: t.TempDir()}
	servers := fmt.Sprintf("127.0.0.1:%d", port)
	s := launch(t, servers)
	b := openTab(t, s.url+"/viewer", 1280, 860)
	b.see("the banner", `document.querySelector("#banner").checkVisibility() && document.querySelector("#banner").innerText.startsWith("Kafka is down")`)
	b.see("a countdown", `/Next try in \d+ s/.test(document.querySelector("#banner-countdown").innerText)`)

	kafka, err := broker.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	client := writer(t, &brokertest.Kafka{BootstrapServers: servers})
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 3, -1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	write(t, client, &kgo.Record{Topic: "orders", Value: []byte("kept")})
	b.seeRows(1)
	b.see("the banner gone", `document.querySelector("#banner").hidden`)

	kafka.Close()
	b.see("the banner again", `!document.querySelector("#banner").hidden`)
	b.seeRows(1) // records that were read stay
	if b.faults.Load() > 0 {
		t.Error("the page had script errors")
	}
}

// Offsets, times and searches are reached by keyboard, and are in the address.
func TestViewerSeeksAndSearches(t *testing.T) {
	t.Parallel()
	k := brokertest.Start(t)
	topic := k.Topic(t, "places", 1, nil)
	begin := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)
	var records []*kgo.Record
	for i := range 400 {
		records = append(records, &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, `{"n":%d}`, i), Timestamp: begin.Add(time.Duration(i) * time.Minute)})
	}
	write(t, writer(t, k), records...)
	s := start(t, k.BootstrapServers)
	b := openTab(t, s.url+"/viewer#topic="+topic+"&partition=0&limit=10", 400, 800)
	const top = `document.querySelector("tr.row .key")?.innerText`
	b.see("the newest", top+` === "k399"`)

	b.do(chromedp.Focus(chromedp.CSS("#start")))
	b.press("a") // chooses by the option's text
	b.see("the offset asked for", `document.querySelector("#offset").checkVisibility()`)
	b.press(kb.Tab)
	b.press("150")
	b.press(kb.Enter)
	b.see("up to the offset", top+` === "k150"`)
	b.see("where that is", `document.querySelector("#place-text").innerText === "Up to offset 150 of partition 0" && location.hash.includes("offset=150")`)
	b.eval(`document.activeElement.blur()`)
	b.press("o")
	b.seeRows(20)
	b.press("n")
	b.seeRows(30)
	b.see("the newer ones above", top+` === "k160"`)

	b.eval(`location.hash += "&offset=&time=2026-03-04T05:30:00Z"`)
	b.see("up to the time", top+` === "k30"`)
	b.do(chromedp.Click(chromedp.CSS("#leave"), chromedp.NodeVisible))
	b.see("the newest again", top+` === "k399" && document.querySelector("#place").hidden`)

	b.do(chromedp.SendKeys(chromedp.CSS("#filter"), "K7"))
	b.see("no match among what is loaded", `document.querySelector("#empty h2")?.innerText === "No match"`)
	b.do(chromedp.Click(chromedp.CSS("#search"), chromedp.NodeVisible))
	b.seeRows(10)
	b.see("what was found", top+` === "k79" && location.hash.includes("search=K7")`)
	b.see("how far it looked", `/^Records with “K7” · searched \d+ records, back to 2026-03-0/.test(document.querySelector("#place-text").innerText)`)
	b.do(chromedp.Click(chromedp.CSS("#older"), chromedp.NodeVisible))
	b.seeRows(11)
	b.see("the rest", `document.querySelector("#place-text").innerText.endsWith("searched 400 records, back to the beginning")`)
	b.do(chromedp.Click(chromedp.CSS("#live"), chromedp.NodeVisible))
	b.see("live at the newest", `document.querySelector("#live-text").innerText === "Live" && `+top+` === "k399"`)
	if b.faults.Load() > 0 {
		t.Error("the page had script errors")
	}
}

func TestViewerShowsBrokersAndConfiguration(t *testing.T) {
	t.Parallel()
	k := brokertest.Start(t)
	topic := k.Topic(t, "configured", 1, map[string]string{"retention.ms": "12345"})
	s := start(t, k.BootstrapServers)
	b := openTab(t, s.url+"/viewer#topic="+topic, 400, 800)
	b.see("an empty topic", `document.querySelector("#empty h2")?.innerText === "An empty topic"`)
	b.do(chromedp.Click(chromedp.CSS("#config-open"), chromedp.NodeVisible))
	const changed = `[...document.querySelectorAll("#config-rows tr.changed")].find((row) => row.innerText.startsWith("retention.ms"))?.innerText`
	b.see("what is set", changed+`?.includes("12345") && `+changed+`.includes("this topic")`)
	b.see("a default", `[...document.querySelectorAll("#config-rows tr:not(.changed)")].some((row) => row.innerText.includes("default"))`)
	b.do(chromedp.Click(chromedp.CSS("#config-changed"), chromedp.NodeVisible))
	b.see("only what is set", `!document.querySelector("#config-rows tr:not(.changed)") && document.querySelector("#config-rows tr.changed")`)
	b.eval(`document.activeElement.blur()`)
	b.press("b")
	b.see("the brokers", `document.querySelectorAll("#brokers-rows tr").length > 0 && document.querySelector("#brokers-rows").innerText.includes("127.0.0.1:")`)
	b.see("the controller", `document.querySelectorAll("#brokers-rows .chip").length === 1`)
	if got := b.eval(`document.documentElement.scrollWidth`); got != "400" {
		t.Errorf("the page is %s pixels wide on a phone of 400", got)
	}
	if b.faults.Load() > 0 {
		t.Error("the page had script errors")
	}
}

// While the page is live, it explains what can't be read, and a recreated topic, whose
// offsets start over.
func TestViewerTellsGapsWhileLive(t *testing.T) {
	t.Parallel()
	k := brokertest.Start(t)
	if k.Embedded == nil {
		t.Skip("a real broker refuses broken batches")
	}
	topic := k.Topic(t, "gaps", 1, nil)
	client := writer(t, k)
	write(t, client, &kgo.Record{Topic: topic, Key: []byte("before")})
	s := start(t, k.BootstrapServers)
	b := openTab(t, s.url+"/viewer#topic="+topic+"&live=1", 1366, 768)
	b.see("it live", `document.querySelector("#live-text").innerText === "Live"`)
	b.seeRows(1)
	k.ProduceRaw(t, topic, 0, brokertest.Batch{Codec: kgo.ZstdCompression(), Payload: []byte("no zstd"), Count: 1}.Bytes(t))
	b.see("what was left out", `document.querySelector("#note").innerText.includes("partition 0, offset 1 (cannot be decompressed)")`)
	k.RecreateTopic(t, topic, 1, nil)
	k.Produce(t, &kgo.Record{Topic: topic, Key: []byte("after")})
	b.see("the new log", `document.querySelector("#note").innerText.includes("(the topic was deleted and created again)")`)
	b.see("its first record in the place of the old one", `[...document.querySelectorAll("tr.row .key")].map((e) => e.innerText).join() === "after"`)
	if b.faults.Load() > 0 {
		t.Error("the page had script errors")
	}
}

// A purchase leads to the page that says what became of it, and a traced record to its
// trace; other records lead nowhere.
func TestViewerLeadsToTheWayOfAPurchase(t *testing.T) {
	t.Parallel()
	k := brokertest.Start(t)
	topic := k.Topic(t, "ways", 1, nil)
	const id = "0195a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
	client := writer(t, k)
	for _, value := range []string{
		`{"userid":"u","price":19.99,"eventId":"` + id + `"}`,
		`{"product":"Pen","quantity":1,"eventId":"` + id + `"}`,            // an order
		`{"userid":"u","eventId":"../../` + strings.Repeat("x", 30) + `"}`, // no id
		"no JSON",
	} {
		write(t, client, &kgo.Record{Topic: topic, Value: []byte(value)})
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, header := range []string{"00-" + trace + "-00f067aa0ba902b7-01", "00-" + trace} {
		write(t, client, &kgo.Record{Topic: topic, Headers: []kgo.RecordHeader{{Key: "traceparent", Value: []byte(header)}}})
	}
	open := func(s *service) *tab {
		b := openTab(t, s.url+"/viewer#topic="+topic, 400, 900)
		b.seeRows(6)
		b.eval(`document.querySelectorAll("tr.row").forEach((row) => row.click())`)
		b.see("all opened", `document.querySelectorAll("tr.detail").length === 6`)
		return b
	}
	const links = `[...document.querySelectorAll(".facts a")].map((a) => a.getAttribute("href")).join()`
	b := open(start(t, k.BootstrapServers, "WAY_URL=/shop/way/{id}", "TRACE_URL=http://jaeger/trace/{id}"))
	if got := b.eval(links); got != "http://jaeger/trace/"+trace+",/shop/way/"+id {
		t.Errorf("the links lead to %q", got)
	}
	if got := open(start(t, k.BootstrapServers)).eval(links); got != "" {
		t.Errorf("without an address, the links lead to %q", got)
	}
	if b.faults.Load() > 0 {
		t.Error("the page had script errors")
	}
}
