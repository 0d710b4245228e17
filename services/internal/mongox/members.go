package mongox

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Members tells Prometheus of the members of the database. The driver asks each of them
// every ten seconds how it is, to know which is the primary: its answers are what is told
// here, so that it takes no request and no right of its own.
type Members struct {
	now func() time.Time

	mu    sync.Mutex
	known map[string]member

	states, lag *prometheus.Desc
}

type member struct {
	state string
	// wrote is when the newest write that it has was made, by the primary's clock;
	// heard is when it said so, by the clock here.
	wrote, heard time.Time
}

// states are what the driver calls the members it knows. Every other one is not in
// service.
func states() map[string]string {
	return map[string]string{
		"RSPrimary": "primary", "RSSecondary": "secondary", "RSArbiter": "arbiter",
		"Standalone": "standalone", "Mongos": "router", "LoadBalancer": "router", "Unknown": unreachable,
	}
}

const (
	unreachable = "unreachable"
	other       = "other"
)

// NewMembers registers the metrics. They have values once a client was made with the
// options.
func NewMembers(reg prometheus.Registerer) *Members {
	m := &Members{
		now: time.Now, known: map[string]member{},
		states: prometheus.NewDesc("mongo_members", "Members of the database by their state, as this service's client knows them.", []string{"state"}, nil),
		lag:    prometheus.NewDesc("mongo_replication_lag_seconds", "How much older the newest write of a secondary is than that of the primary.", []string{"member"}, nil),
	}
	reg.MustRegister(m)
	return m
}

// Options are those of the client whose members are told.
func (m *Members) Options() *options.ClientOptions {
	return options.Client().SetServerMonitor(&event.ServerMonitor{
		ServerOpening: func(e *event.ServerOpeningEvent) {
			m.note(e.Address.String(), func(n *member) { n.state = unreachable }) // not heard of yet
		},
		ServerDescriptionChanged: func(e *event.ServerDescriptionChangedEvent) {
			m.note(e.Address.String(), func(n *member) {
				if n.state = states()[e.NewDescription.Kind]; n.state == "" {
					n.state = other
				}
			})
		},
		ServerHeartbeatSucceeded: func(e *event.ServerHeartbeatSucceededEvent) {
			m.note(e.Reply.Addr.String(), func(n *member) { n.wrote, n.heard = e.Reply.LastWriteTime, m.now() })
		},
		ServerClosed: func(e *event.ServerClosedEvent) {
			m.mu.Lock()
			defer m.mu.Unlock()
			delete(m.known, e.Address.String())
		},
	})
}

func (m *Members) note(address string, change func(*member)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.known[address]
	change(&known)
	m.known[address] = known
}

// Describe implements prometheus.Collector.
func (m *Members) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- m.states
	descriptions <- m.lag
}

// Collect implements prometheus.Collector.
func (m *Members) Collect(metrics chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := map[string]float64{other: 0}
	for _, state := range states() {
		counts[state] = 0
	}
	var primary member
	for _, known := range m.known {
		counts[known.state]++
		if known.state == "primary" {
			primary = known
		}
	}
	for state, count := range counts {
		metrics <- prometheus.MustNewConstMetric(m.states, prometheus.GaugeValue, count, state)
	}
	if primary.wrote.IsZero() {
		return // there is nothing to compare with
	}
	for address, known := range m.known {
		if known.state == "secondary" && !known.wrote.IsZero() {
			metrics <- prometheus.MustNewConstMetric(m.lag, prometheus.GaugeValue, behind(known, primary).Seconds(), address)
		}
	}
}

// behind leaves out that they were heard at different times.
func behind(secondary, primary member) time.Duration {
	return max(0, secondary.heard.Sub(secondary.wrote)-primary.heard.Sub(primary.wrote))
}
