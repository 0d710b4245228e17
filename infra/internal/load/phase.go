package load

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Phase is a part of the load with one rate. A phase without purchases is quiet: it ends as soon as the backlog is drained and
// the pods are back at their minimum, or when the time that the model allows for that is over.
type Phase struct {
	Name string
	Rate float64 // purchases per second
	For  time.Duration
}

// The limits of a load test. Its purchases stay in the database.
const (
	maxPurchases = 2_000_000
	maxLength    = time.Hour
	defaultRate  = 200
)

// defaultPhases take about four minutes. The rate is that of the first phase.
func defaultPhases(rate float64) []Phase {
	return []Phase{
		{"steady", rate, 90 * time.Second},
		{"step", 3 * rate, 100 * time.Second},
		{"spike", 10 * rate, 10 * time.Second},
		{"quiet", 0, 30 * time.Second},
	}
}

var phaseForm = regexp.MustCompile(`^\s*([a-z][a-z0-9-]*)=([0-9.]+)x([0-9a-z.]+)\s*$`)

// Phases reads RATE, purchases per second, or PHASES, such as "steady=200x90s,quiet=0x30s".
func Phases(getenv func(string) string) ([]Phase, error) {
	rate, err := strconv.ParseFloat(cmp.Or(getenv("RATE"), strconv.Itoa(defaultRate)), 64)
	if err != nil || !(rate > 0) {
		return nil, fmt.Errorf("RATE is %q: set a number of purchases per second above 0", getenv("RATE"))
	}
	phases := defaultPhases(rate)
	if text := getenv("PHASES"); text != "" {
		if getenv("RATE") != "" {
			return nil, errors.New("RATE and PHASES are both set: leave RATE out, since PHASES contains the rates")
		}
		if phases, err = parsePhases(text); err != nil {
			return nil, err
		}
	}
	var purchases float64
	var length time.Duration
	for _, p := range phases {
		purchases += p.Rate * p.For.Seconds()
		length += p.For
	}
	if purchases > maxPurchases || length > maxLength {
		return nil, fmt.Errorf("the load would be %.0f purchases in %s, and at most %d in %s are allowed: lower RATE, or the rates and times in PHASES", purchases, length, maxPurchases, maxLength)
	}
	return phases, nil
}

func parsePhases(text string) ([]Phase, error) {
	var phases []Phase
	var faults []error
	for part := range strings.SplitSeq(text, ",") {
		match := phaseForm.FindStringSubmatch(part)
		if match == nil {
			faults = append(faults, fmt.Errorf("PHASES contains %q: write a phase as NAME=RATExTIME, such as step=600x90s", part))
			continue
		}
		rate, err := strconv.ParseFloat(match[2], 64)
		length, lengthErr := time.ParseDuration(match[3])
		if err != nil || lengthErr != nil || length < time.Second || rate != 0 && rate < 1 {
			faults = append(faults, fmt.Errorf("PHASES contains %q: the rate must be 0 or at least 1 per second, and the time at least 1s", part))
		}
		phases = append(phases, Phase{match[1], rate, length})
	}
	return phases, errors.Join(faults...)
}

// Loopback returns an error for an address that is not this machine's, since a load test of somebody else's shop is an attack.
func Loopback(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q is not a URL: write it like http://localhost:8081", address)
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s is not on this machine: set URL to an address at localhost, or leave it out to load the stack at its own address", address)
}
