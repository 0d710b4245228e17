package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What `make run` guarantees according to the README.
const (
	firstPurchaseWithin = 10 * time.Second
	residentBelow       = 400 << 20
	// Generous, for a busy machine.
	slack = 2
)

type purchase struct {
	EventID string  `json:"eventId"`
	UserID  string  `json:"userid"`
	Price   float64 `json:"price"`
}

// TestMakeRun does what a user does after `make run`.
func TestMakeRun(t *testing.T) {
	p := up(t, setup{})
	id := firstPurchase(t, p)
	seeOnTopic(t, p, id)
	seeAllUp(t, p)
	measureMemory(t, p)

	// Ctrl-C in the middle of many purchases.
	var rush crowd
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		rush.buyMany(ctx, t, p.url("WEB_SERVER_ADDR", "/api/v1/buy"), 100_000, 1000)
	}()
	eventually(t, time.Minute, func() error {
		if n := rush.count(); n < 300 {
			return fmt.Errorf("%d purchases are acknowledged", n)
		}
		return nil
	})
	measureMemory(t, p)
	p.stop()
	cancel()
	<-done
	t.Logf("%d purchases acknowledged before Ctrl-C, %d refused after", len(rush.acked), len(rush.failed))
	nothingLeft(t, p)

	// The next run finds everything: purchases, offsets, topics.
	again := up(t, setup{env: p.env})
	rush.allStored(t, 20*time.Second, "mongodb://127.0.0.1:"+again.env["MONGO_PORT"], "shopping")
	seeStored(t, again, id)
	seeOnTopic(t, again, id)
	if err := get(again.url("MANAGEMENT_API_ADDR", "/api/v1/purchases/by-event/"+id), nil); err != nil {
		t.Error(err)
	}

	// And so does one after everything has crashed at once.
	var calm crowd
	calm.buyMany(t.Context(), t, again.url("WEB_SERVER_ADDR", "/api/v1/buy"), 200, 1000)
	again.signal(os.Kill)
	again.exit()
	after := up(t, setup{env: p.env})
	calm.allStored(t, 30*time.Second, "mongodb://127.0.0.1:"+after.env["MONGO_PORT"], "shopping")
	rush.allStored(t, time.Second, "mongodb://127.0.0.1:"+after.env["MONGO_PORT"], "shopping")
	after.stop()
}

// firstPurchase buys and waits until the purchase is stored; it measures the time since the
// start of local.
func firstPurchase(t *testing.T, p *platform) string {
	t.Helper()
	id, err := buy(httpClient(t, 1), p.url("WEB_SERVER_ADDR", "/api/v1/buy"), "ada")
	if err != nil {
		t.Fatal(err)
	}
	acked := time.Since(p.start)
	seeStored(t, p, id)
	took := time.Since(p.start)
	t.Logf("first purchase acknowledged %s after the start, stored after %s", acked.Round(time.Millisecond), took.Round(time.Millisecond))
	if took > slack*firstPurchaseWithin {
		t.Errorf("the first purchase was stored after %s", took)
	}
	return id
}

// seeStored waits until the shop lists the purchase for ada.
func seeStored(t *testing.T, p *platform, id string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		var list []purchase
		if err := get(p.url("WEB_SERVER_ADDR", "/api/v1/getAllUserBuys/ada"), &list); err != nil {
			return err
		}
		for _, b := range list {
			if b.EventID == id && b.UserID == "ada" && b.Price == 9.99 {
				return nil
			}
		}
		return fmt.Errorf("purchase %s is not among the %d of ada's", id, len(list))
	})
}

// seeOnTopic checks that the api shows the purchase's record.
func seeOnTopic(t *testing.T, p *platform, id string) {
	t.Helper()
	var messages []struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	if err := get(p.url("API_ADDR", "/messages?topic=purchases&limit=1000"), &messages); err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if m.Key == "ada" && regexp.MustCompile(id).MatchString(m.Value) {
			return
		}
	}
	if len(messages) < 1000 { // else newer records have displaced it
		t.Errorf("/messages shows %d records and not %s", len(messages), id)
	}
}

// seeAllUp checks that the drawing of the system shows each service by its metrics.
func seeAllUp(t *testing.T, p *platform) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		response, err := http.Get(p.url("API_ADDR", "/system"))
		if err != nil {
			return err
		}
		defer response.Body.Close()
		page, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		if !strings.Contains(string(page), "Everything that this page sees is up.") || strings.Contains(string(page), "not seen") {
			return fmt.Errorf("the system is not all up: %s", page)
		}
		return nil
	})
}

// measureMemory sums up the resident memory of local and its services. Shared pages are
// counted for each process.
func measureMemory(t *testing.T, p *platform) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Log("SKIP measuring memory: there is no /proc")
		return
	}
	sum := 0
	for name, pid := range processes(p) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		resident := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
		if resident == nil {
			t.Fatalf("no VmRSS in the status of %s", name)
		}
		kib, _ := strconv.Atoi(string(resident[1]))
		t.Logf("resident: %-14s %4d MiB", name, kib>>10)
		sum += kib << 10
	}
	t.Logf("resident: %-14s %4d MiB", "all", sum>>20)
	if sum > residentBelow {
		t.Errorf("%d MiB resident", sum>>20)
	}
}

// processes returns the running processes by name.
func processes(p *platform) map[string]int {
	all := map[string]int{"local": p.cmd.Process.Pid}
	for _, services := range stages(config{}) {
		for _, s := range services {
			if pids := p.pids(s.name); len(pids) > 0 {
				all[s.name] = pids[len(pids)-1]
			}
		}
	}
	return all
}
