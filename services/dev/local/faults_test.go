package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestBreakingOnRequest presses each button of the drawing, sees what happens, and has the
// audit find every acknowledged purchase.
func TestBreakingOnRequest(t *testing.T) {
	p := up(t, setup{})
	press := func(fault string, header ...string) int {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url("SYSTEM_ADDR", "/break"), strings.NewReader(url.Values{"fault": {fault}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if len(header) == 2 {
			request.Header.Set(header[0], header[1])
		}
		client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.StatusCode
	}
	pressed := func(fault string) {
		t.Helper()
		if status := press(fault); status != http.StatusSeeOther {
			t.Fatalf("pressing %q: status %d", fault, status)
		}
	}
	see := func(what string, texts ...string) {
		t.Helper()
		eventually(t, 60*time.Second, func() error {
			response, err := http.Get(p.url("SYSTEM_ADDR", "/system"))
			if err != nil {
				return err
			}
			defer response.Body.Close()
			page, err := io.ReadAll(response.Body)
			if err != nil {
				return err
			}
			for _, text := range texts {
				if !strings.Contains(string(page), text) {
					return fmt.Errorf("no %s: the page lacks %q\n%s", what, text, page)
				}
			}
			return nil
		})
	}

	see("buttons", "Let shoppers buy", "Kill web-server", "Everything that this page sees is up.")
	if status := press("database", "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
		t.Errorf("another site pressed a button: status %d", status)
	}
	if status := press("earthquake"); status != http.StatusBadRequest {
		t.Errorf("an unknown fault: status %d", status)
	}

	pressed("shoppers")
	see("purchases", "Stop the shoppers", "purchases/s stored; 95 % within")

	n := len(p.pids("management-api"))
	pressed("kill management-api")
	p.awaitNewer("management-api", n)

	pressed("database")
	see("database down", "Down: MongoDB (does not answer)", "Start the database")
	pressed("database")
	pressed("poison")
	see("dead letters", "new dead letters")
	pressed("slow")
	see("slowness", "End its slowness")
	pressed("slow")
	pressed("broker")
	see("broker down", "Down: Kafka (does not answer)", "Start the broker")

	// The faults that still last end by themselves.
	p.stop()
	if out := p.out.String(); !strings.Contains(out, "audit: acknowledged = stored") {
		t.Errorf("no audit at the end:\n%s", p.out.tail(60))
	}
}
