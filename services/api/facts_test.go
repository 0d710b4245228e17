package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// sold is a small platform: a shop, a topic, its reader and the database.
const sold = `{
	"parts": [
		{"name": "shopper", "kind": "person"}, {"name": "shop", "kind": "service"}, {"name": "sales", "kind": "topic"},
		{"name": "keeper", "kind": "service", "group": "keepers"}, {"name": "MongoDB", "kind": "database"},
		{"name": "sales.dlq", "kind": "letters"}, {"name": "Kafka", "kind": "brokers"}
	],
	"flows": [
		{"from": "shopper", "to": "shop"}, {"from": "shop", "to": "sales"}, {"from": "sales", "to": "keeper"},
		{"from": "keeper", "to": "MongoDB"}, {"from": "keeper", "to": "sales.dlq"}
	]
}`

// soldState is Kafka with a number of records in the topic, committed ones and letters.
func soldState(end, committed, letters int64, members int) kafkaState {
	lag := end - committed
	return kafkaState{
		topics: map[string]topic{
			"sales":     {Messages: end, Partitions: []topicPartition{{Leader: 1, High: end}}},
			"sales.dlq": {Messages: letters, Partitions: []topicPartition{{Leader: 1, High: letters}}},
		},
		groups:  map[string]group{"keepers": {Members: members, Partitions: []groupPartition{{Topic: "sales", Committed: &committed, Lag: &lag}}}},
		brokers: brokerList{Brokers: []brokerInfo{{ID: 1, Up: true}}},
	}
}

func scraped(t *testing.T, text string) scrape {
	t.Helper()
	s, err := parseMetrics(strings.NewReader(text), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s.value
}

const soldMetrics = `
up{service="shop",pod="s"} 1
up{service="keeper",pod="k"} 1
dependency_up{service="keeper",pod="k",dependency="mongo"} 1
http_requests_total{service="shop",pod="s",route="/api/v1/buy",code="202"} 0
http_requests_total{service="shop",pod="s",route="/api/v1/buy",code="503"} 0
http_requests_total{service="shop",pod="s",route="/metrics",code="200"} 0
purchases_stored_total{service="keeper",pod="k"} 0
purchase_end_to_end_seconds_bucket{service="keeper",pod="k",le="0.1"} 0
purchase_end_to_end_seconds_bucket{service="keeper",pod="k",le="+Inf"} 0
`

func TestFactsSayWhatIsGoingOn(t *testing.T) {
	var p picture
	if err := p.UnmarshalText([]byte(sold)); err != nil {
		t.Fatal(err)
	}
	before := scraped(t, soldMetrics)
	changed := func(pairs ...string) *compared[scrape] {
		return &compared[scrape]{now: scraped(t, strings.NewReplacer(pairs...).Replace(soldMetrics)), earlier: before, at: time.Now(), seconds: 10}
	}
	calm := &compared[kafkaState]{now: soldState(120, 117, 0, 1), earlier: soldState(100, 100, 0, 1), seconds: 10}
	for name, test := range map[string]struct {
		observation
		summary string
		parts   map[int]string // says
		flows   map[int]string // rate, note
		unseen  string
	}{
		"all is well": {
			observation: observation{kafka: calm, metrics: changed(
				`code="202"} 0`, `code="202"} 25`, `code="200"} 0`, `code="200"} 99`, `purchases_stored_total{service="keeper",pod="k"} 0`, `purchases_stored_total{service="keeper",pod="k"} 17`,
				`le="0.1"} 0`, `le="0.1"} 17`, `le="+Inf"} 0`, `le="+Inf"} 17`)},
			summary: "Everything that this page sees is up.",
			parts:   map[int]string{1: "up", 2: "1 partition", 3: "up", 4: "up", 6: "up"},
			flows:   map[int]string{0: "2.5/s", 1: "2.0/s", 2: "1.7/s lag 3", 3: "1.7/s 95 % in 95 ms", 4: "0/s"},
		},
		"the database is away": {
			observation: observation{kafka: calm, metrics: changed(`dependency="mongo"} 1`, `dependency="mongo"} 0`)},
			summary:     "Down: MongoDB (does not answer). Needs a look: keeper (no MongoDB).",
		},
		"the reader is away": {
			observation: observation{kafka: &compared[kafkaState]{now: soldState(120, 100, 0, 0), earlier: soldState(100, 100, 0, 1), seconds: 10}, metrics: changed(`up{service="keeper",pod="k"} 1`, `up{service="keeper",pod="k"} 0`)},
			summary:     "Down: keeper (does not answer).",
			flows:       map[int]string{2: "0/s lag 20"},
		},
		"records are refused": {
			observation: observation{kafka: &compared[kafkaState]{now: soldState(120, 120, 6, 1), earlier: soldState(100, 100, 4, 1), seconds: 10}, metrics: changed()},
			summary:     "Needs a look: sales.dlq (new dead letters).",
			flows:       map[int]string{4: "0.2/s"},
		},
		"Kafka is away": {
			observation: observation{kafkaErr: fmt.Errorf("%w: down: no broker", errUnavailable), metrics: changed(`code="503"} 0`, `code="503"} 30`)},
			summary:     "Down: Kafka (does not answer).",
			flows:       map[int]string{0: "3.0/s 3.0/s fail", 1: "–", 2: "–"},
			unseen:      "Kafka does not answer: what is in topics and how far their readers are is unknown. (no broker)",
		},
		"the metrics are away": {
			observation: observation{kafka: calm, metricsErr: errors.New("refused")},
			summary:     "Everything that this page sees is up.",
			parts:       map[int]string{1: "not seen", 3: "reads", 4: "not seen"},
			flows:       map[int]string{0: "–", 1: "2.0/s", 3: "–"},
			unseen:      "The metrics cannot be read. Instances, requests, latency and the state of the database are unknown. (refused)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			teller := teller{picture: &p, observation: test.observation, metricsURL: "http://prometheus/federate"}
			f := teller.tell()
			if f.Summary != test.summary {
				t.Errorf("summary %q, want %q", f.Summary, test.summary)
			}
			for i, want := range test.parts {
				if f.Parts[i].Says != want {
					t.Errorf("%s: %q, want %q", p.Parts[i].Name, f.Parts[i].Says, want)
				}
			}
			for i, want := range test.flows {
				if got := strings.TrimSpace(f.Flows[i].Rate + " " + f.Flows[i].Note); got != want {
					t.Errorf("%s to %s: %q, want %q", p.Flows[i].From, p.Flows[i].To, got, want)
				}
			}
			if got := strings.Join(f.Unseen, "\n"); got != test.unseen {
				t.Errorf("unseen %q, want %q", got, test.unseen)
			}
		})
	}
}

// What a service lacks is said in full in words, and in a box as far as there is room.
func TestFactsNameWhatAServiceLacks(t *testing.T) {
	var p picture
	if err := p.UnmarshalText([]byte(sold)); err != nil {
		t.Fatal(err)
	}
	for lacking, want := range map[string][2]string{
		"mongo":                      {"no MongoDB", ""},
		"sales":                      {"no topic sales", ""},
		"kafka sales":                {"no Kafka", ""}, // there are no topics without Kafka
		"kafka mongo":                {"no Kafka, no MongoDB", ""},
		"kafka mongo management-api": {"no Kafka, no MongoDB, no management-api", "3 dependencies down"},
	} {
		metrics := `up{service="keeper",pod="k"} 1` + "\n" + `dependency_up{service="keeper",pod="k",dependency="other"} 1` + "\n"
		for name := range strings.FieldsSeq(lacking) {
			metrics += fmt.Sprintf("dependency_up{service=\"keeper\",pod=\"k\",dependency=%q} 0\n", name)
		}
		teller := teller{picture: &p, observation: observation{metrics: &compared[scrape]{now: scraped(t, metrics), at: time.Now()}}}
		if got := teller.part(p.Parts[p.index("keeper")]); got.State != stateWarn || got.Says != want[0] || got.Short != want[1] {
			t.Errorf("without %s: %+v", lacking, got)
		}
	}
}

func TestNumbersAreShort(t *testing.T) {
	for got, want := range map[string]string{
		rate(0, 10): "0/s", rate(.5, 10): "<0.1/s", rate(25, 10): "2.5/s", rate(12345678, 10): "1,234,568/s",
		spanText(.0042): "4.2 ms", spanText(.25): "250 ms", spanText(2.34): "2.3 s", spanText(61): "61 s", spanText(283): "4.7 min",
		grouped(999): "999", grouped(1000000): "1,000,000", plural(1, "record"): "1 record", records(0): "no records",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
