package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestShopFiles(t *testing.T) {
	url := serveWith(t, config{Currency: "EUR", ManagementAPIURL: "http://127.0.0.1:1"}, fakeKafka{})
	for path, contentType := range map[string]string{
		"/": "text/html", "/shop/app.js": "text/javascript", "/shop/shopper.js": "text/javascript", "/shop/style.css": "text/css", "/shop/icon.svg": "image/svg+xml",
	} {
		got := request(t, http.MethodGet, url+path, "")
		if got.status != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), contentType) || len(got.body) == 0 {
			t.Fatalf("GET %s = %d %s, %d bytes", path, got.status, got.header.Get("Content-Type"), len(got.body))
		}
		if csp := got.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
		etag := got.header.Get("ETag")
		if again := request(t, http.MethodGet, url+path, "", "If-None-Match", etag); again.status != http.StatusNotModified || len(again.body) != 0 {
			t.Errorf("%s: %d for the known %s", path, again.status, etag)
		}
		if head := request(t, http.MethodHead, url+path, ""); head.status != 200 || len(head.body) != 0 || head.header.Get("ETag") != etag {
			t.Errorf("HEAD %s = %d", path, head.status)
		}
	}
	if got := request(t, http.MethodGet, url+"/", ""); !strings.Contains(string(got.body), `content="EUR"`) {
		t.Error("the page doesn't know the currency")
	}
}

// The catalogue is in the page itself, so that nothing moves after the first paint. Prices
// have the currency's digits.
func TestShopPageHoldsTheCatalogue(t *testing.T) {
	for currency, prices := range map[string][]string{"USD": {"27.90 USD", "1299.00 USD"}, "JPY": {"28 JPY", "1299 JPY"}, "KWD": {"27.900 KWD", "1299.000 KWD"}} {
		url := serveWith(t, config{Currency: currency, ManagementAPIURL: "http://127.0.0.1:1"}, fakeKafka{})
		page := string(request(t, http.MethodGet, url+"/", "").body)
		if got := strings.Count(page, `<li class="product `); got != 12 {
			t.Errorf("%s: %d products in the page, want 12", currency, got)
		}
		for _, want := range append(prices, "Watering can", "Laptop", `value="ada-1001" checked`) {
			if !strings.Contains(page, want) {
				t.Errorf("%s: the page lacks %q", currency, want)
			}
		}
	}
}

// The page must work without the internet and under its own strict policy.
func TestShopIsSelfContained(t *testing.T) {
	elsewhere := regexp.MustCompile(`(?i)(?:src|href|url|import)\s*[=(]?\s*["']?(?:https?:)?//`)
	inline := regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style|\sstyle=|\son[a-z]+=|javascript:`)
	markup := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b`)
	pages, _ := filepath.Glob("*.templ")
	files, _ := filepath.Glob("shop/*")
	if len(pages) == 0 || len(files) == 0 {
		t.Fatal("there are no pages or no files")
	}
	for _, name := range append(pages, files...) {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := elsewhere.Find(content); found != nil {
			t.Errorf("%s loads from elsewhere: %s", name, found)
		}
		if found := inline.Find(content); strings.HasSuffix(name, ".templ") && found != nil {
			t.Errorf("%s has something inline: %s", name, found)
		}
		// User names must never be interpreted as markup.
		if found := markup.Find(content); strings.HasSuffix(name, ".js") && found != nil {
			t.Errorf("%s writes markup: %s", name, found)
		}
	}
}
