package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"shopstream/infra/internal/capacity"
	"shopstream/infra/internal/endpoint"
)

// shop is a platform that stores purchases in memory, and has the faults that a test sets.
type shop struct {
	mu        sync.Mutex
	purchases map[string][]purchase // by buyer
	count     int
	fault     func(number int) string // double, refuse, lose; "" for none
	audited   func()                  // before purchases are listed
	stall     func()                  // before an answer to a buyer
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && s.stall != nil {
		s.stall()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	buyer := strings.TrimPrefix(r.URL.Path, "/api/v1/getAllUserBuys/")
	switch {
	case r.Method == http.MethodPost:
		var request struct {
			UserID string
			Price  float64
		}
		_ = json.NewDecoder(r.Body).Decode(&request)
		s.count++
		p := purchase{EventID: fmt.Sprintf("e-%d", s.count), Price: request.Price}
		fault := ""
		if s.fault != nil {
			fault = s.fault(s.count)
		}
		switch fault {
		case "refuse":
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case "lose":
			w.WriteHeader(http.StatusAccepted)
			fmt.Fprintf(w, `{"data":{"eventId":%q}}`, p.EventID)
			return
		case "double":
			s.purchases[request.UserID] = append(s.purchases[request.UserID], purchase{p.EventID + "b", p.Price})
		}
		s.purchases[request.UserID] = append(s.purchases[request.UserID], p)
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"data":{"eventId":%q}}`, p.EventID)
	case buyer != r.URL.Path && s.audited != nil:
		s.audited()
		_ = json.NewEncoder(w).Encode(s.purchases[buyer])
	case buyer != r.URL.Path: // in pages of one, so that there are several
		var at int
		_, _ = fmt.Sscan(r.URL.Query().Get("before"), &at)
		all := s.purchases[buyer]
		if at+1 < len(all) {
			w.Header().Set("Link", fmt.Sprintf(`<%s?before=%d>; rel="next"`, r.URL.Path, at+1))
		}
		_ = json.NewEncoder(w).Encode(all[min(at, len(all)):min(at+1, len(all))])
	case r.URL.Path == "/groups":
		fmt.Fprint(w, `[{"group":"store","lag":0}]`)
	case r.URL.Path != "/openapi.yaml":
		fmt.Fprint(w, `{"state":"stored"}`)
	}
}

// runLoad runs a load test on a shop.
func runLoad(t *testing.T, ctx context.Context, s *shop, phases ...Phase) (said string, plot string, err error) {
	t.Helper()
	s.purchases = map[string][]purchase{}
	server := httptest.NewServer(s)
	defer server.Close()
	var out bytes.Buffer
	path := filepath.Join(t.TempDir(), "build", "load.html")
	err = Run(ctx, Options{
		Shop: endpoint.Endpoint{URL: server.URL}, API: endpoint.Endpoint{URL: server.URL}, Phases: phases, Group: "store", Plot: path, Out: &out,
		Services: []Service{{Name: "store", Model: &capacity.Model{PerPod: 1000, Target: 0.8, CatchUp: 30 * time.Second, Min: 1, Max: 1, Partitions: 6}}},
	})
	page, _ := os.ReadFile(path)
	return out.String(), string(page), err
}

func TestALoadThatPasses(t *testing.T) {
	said, plot, err := runLoad(t, t.Context(), &shop{}, Phase{"steady", 100, 2 * time.Second}, Phase{"quiet", 0, 20 * time.Second})
	if busy := strings.Contains(said, "This machine can't send"); !busy && ExitStatus(err) != 0 {
		t.Errorf("%v, after it said\n%s", err, said)
	}
	for _, text := range []string{"200 acknowledged, 0 refused", "a backlog of 0 was drained", "of 200 acknowledged purchases, each looked up, 0 are lost", "not judged pods"} {
		if !strings.Contains(said, text) {
			t.Errorf("it does not say %q, but\n%s", text, said)
		}
	}
	if strings.Count(plot, "<polyline") < 3 || !strings.Contains(plot, "steady 100/s") || strings.Contains(plot, "<script") || strings.Contains(plot, "http") {
		t.Errorf("the plot is\n%s", plot)
	}
}

func TestDuplicatesAndRefusedPurchasesAreFound(t *testing.T) {
	faults := map[int]string{10: "double", 20: "refuse"}
	said, _, err := runLoad(t, t.Context(), &shop{fault: func(number int) string { return faults[number] }}, Phase{"steady", 50, time.Second})
	if !errors.Is(err, ErrFailed) || ExitStatus(err) != 1 {
		t.Errorf("%v", err)
	}
	for _, text := range []string{"49 acknowledged, 1 refused", "of 50 stored purchases, 1 are duplicates"} {
		if !strings.Contains(said, text) {
			t.Errorf("it does not say %q, but\n%s", text, said)
		}
	}
}

// TestAStalledShopDoesNotSlowTheSender: the purchases that were due meanwhile are sent, and their wait counts.
func TestAStalledShopDoesNotSlowTheSender(t *testing.T) {
	release := make(chan struct{})
	time.AfterFunc(3*time.Second, func() { close(release) })
	// More than the shop is sent at the same time, so that most of them wait on this side.
	const rate = 2 * connections
	said, _, _ := runLoad(t, t.Context(), &shop{stall: func() { <-release }}, Phase{"stall", rate, 2 * time.Second})
	if !strings.Contains(said, fmt.Sprintf("%d acknowledged", 2*rate)) {
		t.Fatalf("it said\n%s", said)
	}
	// Purchases were due from 3 s to 1 s before the release, and a busy machine sends them late.
	text := regexp.MustCompile(`p50 (\S+s),`).FindStringSubmatch(said)
	if half, err := time.ParseDuration(text[1]); err != nil || half < 1900*time.Millisecond {
		t.Errorf("half of the purchases waited less than about 2 s:\n%s", said)
	}
	text = regexp.MustCompile(`at most (\S+s) without an acknowledgement`).FindStringSubmatch(said)
	if gap, err := time.ParseDuration(text[1]); err != nil || gap < 2900*time.Millisecond {
		t.Errorf("the shop stalled for 3 s:\n%s", said)
	}
}

// TestTheLongestTimeWithoutAnAcknowledgement is measured to its end: beyond the phase that it began in, and until nothing is due any
// more if the shop doesn't come back.
func TestTheLongestTimeWithoutAnAcknowledgement(t *testing.T) {
	began := sync.OnceValue(time.Now)
	for name, test := range map[string]struct {
		shop   *shop
		phases []Phase
		least  []time.Duration // by phase
	}{
		"beyond a phase": {
			&shop{stall: func() { time.Sleep(time.Until(began().Add(3 * time.Second))) }}, []Phase{{"first", 20, time.Second}, {"second", 20, time.Second}},
			[]time.Duration{2900 * time.Millisecond, 1900 * time.Millisecond},
		},
		"to the end": {
			&shop{fault: func(number int) string { return map[bool]string{true: "refuse"}[number > 10] }}, []Phase{{"only", 20, 2 * time.Second}},
			[]time.Duration{1400 * time.Millisecond},
		},
	} {
		t.Run(name, func(t *testing.T) {
			said, _, _ := runLoad(t, t.Context(), test.shop, test.phases...)
			gaps := regexp.MustCompile(`at most (\S+s) without an acknowledgement`).FindAllStringSubmatch(said, -1)
			if len(gaps) != len(test.least) {
				t.Fatalf("it said\n%s", said)
			}
			for i, gap := range gaps {
				if long, err := time.ParseDuration(gap[1]); err != nil || long < test.least[i] {
					t.Errorf("%s: at most %s without an acknowledgement, want %s or more", test.phases[i].Name, gap[1], test.least[i])
				}
			}
		})
	}
}

func TestAnInterruptedLoadSaysWhatWasMeasured(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &shop{fault: func(number int) string {
		if number == 50 {
			cancel()
		}
		return ""
	}}
	said, plot, err := runLoad(t, ctx, s, Phase{"steady", 100, time.Minute}, Phase{"quiet", 0, time.Minute})
	if ExitStatus(err) != 130 {
		t.Errorf("%v", err)
	}
	if !strings.Contains(said, "it was interrupted") || !strings.Contains(said, " acknowledged, 0 refused") || plot == "" {
		t.Errorf("it said\n%s", said)
	}
}

// Purchases that are not stored yet are not lost.
func TestAnAuditThatIsInterruptedJudgesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &shop{audited: cancel, fault: func(number int) string {
		if number == 10 {
			return "lose"
		}
		return ""
	}}
	said, _, err := runLoad(t, ctx, s, Phase{"steady", 50, time.Second})
	if ExitStatus(err) != 130 {
		t.Errorf("%v", err)
	}
	if !strings.Contains(said, "not judged whether all acknowledged purchases are stored") || strings.Contains(said, "lost") {
		t.Errorf("it said\n%s", said)
	}
}

func TestWhatIsNoShop(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	err := Run(t.Context(), Options{Shop: endpoint.Endpoint{URL: server.URL}, Phases: defaultPhases(1), Out: &bytes.Buffer{}})
	if err == nil || !strings.Contains(err.Error(), "no shop answers at "+server.URL) || !strings.Contains(err.Error(), "404") || strings.Contains(err.Error(), "%!") {
		t.Error(err)
	}
}

func TestNoShop(t *testing.T) {
	err := Run(t.Context(), Options{Shop: endpoint.Endpoint{URL: "http://127.0.0.1:1"}, Phases: defaultPhases(1), Out: &bytes.Buffer{}})
	if err == nil || !strings.Contains(err.Error(), "no shop answers at http://127.0.0.1:1") || !strings.Contains(err.Error(), "make run") {
		t.Error(err)
	}
}

func TestPhases(t *testing.T) {
	for name, c := range map[string]struct {
		rate, phases string
		fault        string
	}{
		"neither":         {"", "", ""},
		"a rate":          {"12.5", "", ""},
		"phases":          {"", "steady=200x90s, quiet=0x1m30s", ""},
		"both":            {"1", "steady=200x90s", "both set"},
		"no number":       {"many", "", "RATE is \"many\""},
		"not a number":    {"NaN", "", "above 0"},
		"nothing to send": {"0", "", "above 0"},
		"no phase":        {"", "steady", "NAME=RATExTIME"},
		"no time":         {"", "steady=1x1", "the time at least 1s"},
		"all faults":      {"", "a,steady=0.5x3s", "0.5x3s"},
		"too many":        {"", "steady=2000x59m", "at most 2000000"},
		"too long":        {"", "steady=1x61m", "in 1h0m0s"},
	} {
		phases, err := Phases(func(name string) string { return map[string]string{"RATE": c.rate, "PHASES": c.phases}[name] })
		switch {
		case c.fault == "" && (err != nil || len(phases) < 2):
			t.Errorf("%s: %v %v", name, phases, err)
		case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
			t.Errorf("%s: %v, want %s", name, err, c.fault)
		}
	}
}

func TestOnlyThisMachineIsPutUnderLoad(t *testing.T) {
	for address, fine := range map[string]bool{
		"http://localhost:8081": true, "http://127.0.0.1:1": true, "http://[::1]:1": true, "http://shop.example.com": false,
		"http://10.0.0.1": false, "http://localhost.example.com": false, "localhost:8081": false, "": false, "ftp://localhost": false,
	} {
		if err := Loopback(address); (err == nil) != fine {
			t.Errorf("%s: %v", address, err)
		}
	}
}
