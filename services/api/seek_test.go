package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"shopstream/services/internal/testkit/brokertest"
)

// placesOf lists the partitions and offsets of a page.
func placesOf(list []message) string {
	var at []string
	for _, m := range list {
		at = append(at, fmt.Sprintf("%d/%s", m.Partition, m.Offset))
	}
	return strings.Join(at, " ")
}

func TestReadingBackStartsAtAnOffsetOrATime(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "sought", 2, nil)
	begin := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	client := writer(t, k)
	for i := range 40 { // one per second, in turn
		write(t, client, &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: []byte(strconv.Itoa(i)), Timestamp: begin.Add(time.Duration(i) * time.Second)})
	}
	at := func(second float64) string {
		return strconv.FormatInt(begin.Add(time.Duration(second*float64(time.Second))).UnixMilli(), 10)
	}
	for query, want := range map[string]string{
		"limit=3&partition=1&offset=7":             "1/7 1/6 1/5",
		"limit=3&partition=1&offset=0":             "1/0",
		"limit=2&partition=1&offset=99":            "1/19 1/18",
		"limit=4&offset=7":                         "1/7 0/7 1/6 0/6",
		"limit=3&timestamp=" + at(10):              "0/5 1/4 0/4",
		"limit=3&partition=0&timestamp=" + at(9.9): "0/4 0/3 0/2",
		"limit=3&timestamp=" + at(-1):              "",
		"limit=2&timestamp=0":                      "",
		"limit=2&timestamp=" + at(1e6):             "1/19 0/19",
		"limit=2&offset=3&timestamp=" + at(2):      "0/1 1/0",
	} {
		if got, _ := s.messages(t, "/messages?topic="+topic+"&"+query); placesOf(got) != want {
			t.Errorf("%s: %s, want %s", query, placesOf(got), want)
		}
	}
	// The next pages continue from there.
	all := s.pages(t, "/messages?topic="+topic+"&limit=4&timestamp="+at(20))
	if len(all) != 21 || *all[0].Value != "20" || *all[20].Value != "0" {
		t.Errorf("pages = %s", placesOf(all))
	}
	for _, query := range []string{"offset=-1", "offset=x", "offset=9223372036854775808", "timestamp=-1", "timestamp=2026-05-06T07:08:09Z", "contains=" + strings.Repeat("x", 201)} {
		a := s.get(t, "/messages?topic="+topic+"&"+query)
		if p := a.problem(t); a.status != http.StatusBadRequest || len(p.Errors) != 1 || !strings.HasPrefix(query, p.Errors[0].Field+"=") {
			t.Errorf("%s = %d %s", query, a.status, a.body)
		}
	}
}

func TestSearchReadsBackUntilItHasFoundEnough(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers)
	topic := k.Topic(t, "searched", 3, nil)
	client := writer(t, k)
	var records []*kgo.Record
	begin := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	for i := range 3000 {
		r := &kgo.Record{Topic: topic, Partition: int32(i % 3), Value: fmt.Appendf(nil, `{"n":%d}`, i), Timestamp: begin.Add(time.Duration(i) * time.Second)}
		switch i {
		case 17:
			r.Value = []byte("A NEEDLE in the value")
		case 600:
			r.Key = []byte("needle.*")
		case 1201:
			r.Headers = []kgo.RecordHeader{{Key: "Needle", Value: nil}}
		case 2402:
			r.Headers = []kgo.RecordHeader{{Key: "x", Value: []byte("\xff needle")}}
		}
		records = append(records, r)
	}
	write(t, client, records...)
	find := func(text, more string) string {
		return "/messages?topic=" + topic + "&contains=" + url.QueryEscape(text) + more
	}
	got, a := s.messages(t, find("needle", ""))
	if placesOf(got) != "2/800 1/400 0/200 2/5" || a.header.Get("X-Complete") != "true" || a.header.Get("X-Reason") != reasonBeginning || a.next() != "" {
		t.Errorf("all: %s %v", placesOf(got), a.header)
	}
	if a.header.Get("X-Searched") != "3000" || a.header.Get("X-Searched-Back-To") != "" {
		t.Errorf("searched %s back to %s", a.header.Get("X-Searched"), a.header.Get("X-Searched-Back-To"))
	}
	got, a = s.messages(t, find("needle", "&limit=1"))
	if placesOf(got) != "2/800" || a.header.Get("X-Searched-Back-To") != isoTime(begin.Add(2402*time.Second).UnixMilli()) {
		t.Errorf("the newest: %s %v", placesOf(got), a.header)
	}
	if all := s.pages(t, find("needle", "&limit=1")); placesOf(all) != "2/800 1/400 0/200 2/5" {
		t.Errorf("in pages: %s", placesOf(all))
	}
	for text, want := range map[string]string{
		"needle.*":    "0/200", // a text, not a pattern
		"nowhere":     "",
		`{"n":2999}`:  "2/999",
		"IN THE VALU": "2/5",
	} {
		if got, _ := s.messages(t, find(text, "")); placesOf(got) != want {
			t.Errorf("%q: %s, want %s", text, placesOf(got), want)
		}
	}
	if got, _ := s.messages(t, find("needle", "&partition=0&offset=199")); len(got) != 0 {
		t.Errorf("below the offset: %s", placesOf(got))
	}
}

// A search that is stopped by its limits says how far it got, and continues from there
// on the next page.
func TestSearchContinuesWhereItsLimitsStoppedIt(t *testing.T) {
	k := brokertest.Start(t)
	s := start(t, k.BootstrapServers, "READ_BYTES_LIMIT=200000")
	topic := k.Topic(t, "far", 2, nil)
	client := writer(t, k)
	var records []*kgo.Record
	for i := range 2000 {
		value := strings.Repeat("hay ", 250) // 2 MB in all
		if i == 3 {
			value = "needle"
		}
		records = append(records, &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: []byte(value), Timestamp: time.UnixMilli(int64(1e12 + i*1000))})
	}
	write(t, client, records...)
	path, seen, back := "/messages?topic="+topic+"&contains=needle", 0, []string{}
	var found []message
	for n := 0; path != ""; n++ {
		if n > 100 {
			t.Fatal("a search without end")
		}
		got, a := s.messages(t, path)
		found = append(found, got...)
		looked, err := strconv.Atoi(a.header.Get("X-Searched"))
		if err != nil {
			t.Fatal(err)
		}
		seen += looked
		if path = a.next(); path == "" {
			break
		}
		if a.header.Get("X-Complete") != "false" || a.header.Get("X-Reason") != reasonBytes {
			t.Errorf("cut short: %v", a.header)
		}
		back = append(back, a.header.Get("X-Searched-Back-To"))
	}
	if placesOf(found) != "1/1" || seen != 2000 || len(back) < 5 {
		t.Errorf("found %q in %d records, %d pages", placesOf(found), seen, len(back)+1)
	}
	if !slices.IsSortedFunc(back, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Errorf("it looked back to %q", back)
	}
}
